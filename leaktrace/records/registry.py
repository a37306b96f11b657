"""Which models exist, which of them are retired, and which workers run them.

A retired model keeps its results; its embeddings are searched no longer. A worker that starts with it takes it into
use again.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from leaktrace.errors import Conflict, InvalidInput, NotFound
from leaktrace.records.audit import record_audit
from leaktrace.records.densities import models_in_use
from leaktrace.records.models import ModelVersion, Worker

MODEL_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class ModelNotFound(NotFound):
    """No model version of this name has been registered."""

    code = "model_not_found"


class ModelInUse(Conflict):
    """Living workers run the model; stop them before it is retired."""

    code = "model_in_use"


def register_model(
    session: Session,
    version: str,
    *,
    card: Mapping[str, Any],
    classes: Sequence[str],
    embedding_dim: int,
    judged_dim: int,
) -> None:
    """Record a model version once, and take it into use; it never changes, since its name holds its hash.

    Raises:
        InvalidInput: the version cannot stand in keys and index names.
    """
    if not MODEL_VERSION.fullmatch(version):
        raise InvalidInput(f"model version {version!r}: use letters, digits, '.', '_' and '-' alone")
    row = {
        "version": version,
        "card": card,
        "classes": list(classes),
        "embedding_dim": embedding_dim,
        "kept_dim": embedding_dim - judged_dim,
    }
    statement = insert(ModelVersion).values(row)
    # Written only where it was retired: workers start together, and none should wait for another.
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["version"],
            set_={"retired_at": None},
            where=ModelVersion.retired_at.is_not(None),
        )
    )


def list_models(session: Session) -> list[ModelVersion]:
    """All model versions, the newest first."""
    return list(session.scalars(select(ModelVersion).order_by(ModelVersion.registered_at.desc())))


def find_model(session: Session, version: str) -> ModelVersion:
    """One model version.

    Raises:
        ModelNotFound
    """
    model = session.get(ModelVersion, version)
    if model is None:
        raise ModelNotFound(f"there is no model {version!r}")
    return model


def judged_dim_of(session: Session, version: str) -> int:
    """How many of its embeddings' numbers, the first ones, a registered model goes by."""
    return session.scalars(select(ModelVersion.judged_dim).where(ModelVersion.version == version)).one()


def limits_of_models(session: Session, versions: Sequence[str]) -> list[str]:
    """What the cards of these models state as their limits, each once."""
    cards = session.scalars(select(ModelVersion.card).where(ModelVersion.version.in_(versions)))
    return list(dict.fromkeys(str(limit) for card in cards for limit in card.get("limits", [])))


def retire_model(session: Session, version: str, *, actor: str) -> None:
    """Say that the model is done with; its index can be dropped then. Twice is harmless.

    Raises:
        ModelNotFound, ModelInUse
    """
    model = session.get(ModelVersion, version)
    if model is None:
        raise ModelNotFound(f"there is no model {version!r}; `leaktrace models list` shows those there are")
    if version in models_in_use(session):
        raise ModelInUse(f"living workers run {version}; stop them first")
    if model.retired_at is None:
        model.retired_at = func.now()
        record_audit(session, "model.retired", tenant_id=None, actor=actor, subject=version)


def register_worker(
    session: Session, worker_id: str, *, model_version: str, density_version: str, device: str
) -> None:
    """Record that a worker has passed its self-test, or that it is alive and what it runs now."""
    row = {
        "id": worker_id,
        "model_version": model_version,
        "density_version": density_version,
        "device": device,
    }
    seen = {"density_version": density_version, "seen_at": func.now()}
    session.execute(insert(Worker).values(row).on_conflict_do_update(index_elements=["id"], set_=seen))


def remove_worker(session: Session, worker_id: str) -> None:
    """Forget a worker that stopped in good order."""
    session.execute(delete(Worker).where(Worker.id == worker_id))
