"""Models as the API gives them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.examples import EXAMPLE_TIME

MODEL: dict[str, Any] = {
    "version": "starter-3b720dc90e97",
    "is_serving": True,
    "classes": ["real", "sd-2.1", "sdxl-1.0"],
    "embedding_dim": 264,
    "judged_dim": 136,
    "registered_at": EXAMPLE_TIME,
    "retired_at": None,
}


class Model(BaseModel):
    """A model version that some worker has loaded and whose self-test passed."""

    model_config = ConfigDict(json_schema_extra={"examples": [MODEL]})

    version: str
    is_serving: bool = Field(description="The worker heard from last runs it.")
    classes: list[str]
    embedding_dim: int
    judged_dim: int = Field(
        description="How many of an embedding's numbers, the first ones, answers and distances go by. "
        "Those behind them are kept for generators to come."
    )
    registered_at: datetime
    retired_at: datetime | None = Field(description="Since when its embeddings are not searched any more.")


class Models(BaseModel):
    """Model versions, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [MODEL]}]})

    data: list[Model]


class ModelCard(Model):
    """A model with its card, as it was published with the weights; without the vectors of its self-test."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**MODEL, "card": {"name": "starter", "limits": ["one seed"]}}]}
    )

    card: dict[str, Any]
