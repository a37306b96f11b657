"""What a user asks about models: which there are, what their cards say, and the generators that they know.

A part of both clients; see `methods`.
"""

from datetime import datetime
from typing import Any

from leaktrace.client.answers import Answer, Generator
from leaktrace.client.flows import Flow
from leaktrace.client.methods import Part, SenderT, shared


class Model(Answer):
    """A model version that workers have registered; embeddings of a retired one are not searched any more."""

    version: str
    is_serving: bool
    classes: list[str]
    embedding_dim: int
    judged_dim: int
    registered_at: datetime
    retired_at: datetime | None = None


class ModelCard(Model):
    """A model with its card: its data, its figures with their intervals, its limits."""

    card: dict[str, Any]


class Models(Part[SenderT]):
    """Models and the generators they know."""

    @shared
    def generators(self) -> Flow[list[Generator]]:
        """The generators that the service's model knows, and those that were enrolled."""
        return self._list(Generator, "/v1/generators")

    @shared
    def models(self) -> Flow[list[Model]]:
        """The models that workers have registered, the newest first."""
        return self._list(Model, "/v1/models")

    @shared
    def model_card(self, version: str) -> Flow[ModelCard]:
        """A model with its card."""
        return self._ask(ModelCard, "GET", f"/v1/models/{version}")
