"""What a request body may say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from api import result_schemas, schemas, webhook_schemas
from api.schemas import BatchCreate, PromisedFile, Promises, RetryRequest

FILE = {"custom_id": "a", "sha256": "0" * 64, "size_bytes": 1}
SCALARS = (
    st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=50)
)


KEYS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=64)
MODELS = [
    model
    for module in (schemas, result_schemas, webhook_schemas)
    for model in vars(module).values()
    if isinstance(model, type) and "json_schema_extra" in getattr(model, "model_config", {})
]


@given(st.dictionaries(KEYS, SCALARS, max_size=32))
def test_metadata_comes_back_unchanged(metadata: dict[str, object]) -> None:
    sent = json.loads(json.dumps(metadata))
    assert json.loads(BatchCreate(metadata=sent).model_dump_json())["metadata"] == sent


def test_text_stays_text() -> None:
    assert BatchCreate(metadata={"a": "0" * 500}).metadata == {"a": "0" * 500}


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x" * 201},
        {"name": "a\x00b"},
        {"metadata": {"": 1}},
        {"metadata": {"k" * 65: 1}},
        {"metadata": {"k": "v" * 513}},
        {"metadata": {"k": None}},
        {"metadata": {"k": {"nested": 1}}},
        {"metadata": {"k": float("nan")}},
        {"metadata": {"k": 10**16}},
        {"metadata": {str(n): n for n in range(33)}},
        {"nmae": "misspelt"},
    ],
)
def test_bad_batch_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BatchCreate.model_validate(body)


@pytest.mark.parametrize(
    "change",
    [
        {"custom_id": ""},
        {"custom_id": "x" * 257},
        {"custom_id": "a\nb"},
        {"file_name": "a\x1fb"},
        {"sha256": "F" * 64},
        {"sha256": "0" * 63},
        {"size_bytes": 0},
        {"size_bytes": "12"},
        {"size_bytes": 1.5},
    ],
)
def test_bad_promise_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PromisedFile.model_validate({**FILE, **change})


def test_whole_number_may_have_a_point() -> None:
    assert PromisedFile.model_validate({**FILE, "size_bytes": 2.0}).size_bytes == 2


@pytest.mark.parametrize("count", [0, 1001])
def test_number_of_promises_is_limited(count: int) -> None:
    with pytest.raises(ValidationError):
        Promises.model_validate({"files": [FILE] * count})


def test_retry_is_a_preview_unless_told() -> None:
    assert RetryRequest().dry_run is True


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_example_fits_its_schema(model: type[BaseModel]) -> None:
    (examples,) = model.model_config["json_schema_extra"].values()  # type: ignore[union-attr]
    assert [model.model_validate_json(json.dumps(example)) for example in examples]
