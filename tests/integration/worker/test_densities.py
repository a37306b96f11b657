"""Registering a model, publishing and swapping densities, and the refit that records each of its runs."""

import hashlib

import psycopg
import pytest
from sqlalchemy import Engine, func, select, text, update

from deploy.embedded.servers import EmbeddedServers
from leaktrace.objects import S3ObjectStore, density_key
from leaktrace.records.database import transaction
from leaktrace.records.densities import active_density
from leaktrace.records.density_models import DensityVersion, Refit
from leaktrace.records.embedding_index import ensure_embedding_index, index_name
from leaktrace.records.locks import REFIT_LOCK, try_lock
from leaktrace.records.models import Attribution, ModelVersion
from leaktrace.science.density import OpenSetDensity
from tests.attributors import EMBEDDING_DIM, FakeAttributor
from tests.integration.worker.conftest import MakeWorker
from tests.submissions import Submissions, picture
from worker.refit import Refitter
from worker.registration import register


class OtherModel(FakeAttributor):
    """A model of its own for every test, so that each starts without a density."""

    def __init__(self, name: str) -> None:
        self.version = name
        super().__init__()
        self.density_version = f"{name}-density-1"


def last_refit(engine: Engine, model_version: str) -> tuple[str, str]:
    with transaction(engine) as session:
        row = session.scalars(
            select(Refit).where(Refit.model_version == model_version).order_by(Refit.id.desc()).limit(1)
        ).one()
        return row.outcome, row.reason


def publish(engine: Engine, store: S3ObjectStore, model: FakeAttributor, *, version: str, seed: int) -> bytes:
    """What a later refit will do: another density, active instead of the one before."""
    artefact = model.fitted_density(seed=seed).to_bytes()
    key = density_key(model.version, version)
    store.put(key, artefact, content_type="application/octet-stream")
    with transaction(engine) as session:
        session.execute(
            update(DensityVersion)
            .where(DensityVersion.model_version == model.version)
            .values(state="retired")
        )
        session.add(
            DensityVersion(
                version=version,
                model_version=model.version,
                state="active",
                object_key=key,
                sha256=hashlib.sha256(artefact).hexdigest(),
                known_images=36,
                reason="test",
            )
        )
    return artefact


def test_first_density_is_published(engine: Engine, store: S3ObjectStore) -> None:
    model = OtherModel("m-first")
    register(model, engine=engine, store=store)  # type: ignore[arg-type]
    with transaction(engine) as session:
        active = active_density(session, model.version)
    assert active is not None
    kept = OpenSetDensity.from_bytes(store.get(active.object_key))
    assert (active.version, active.known_images, kept.model_version) == ("m-first-density-1", 36, "m-first")


def test_registering_twice_changes_nothing(engine: Engine, store: S3ObjectStore) -> None:
    model = OtherModel("m-twice")
    for _ in range(2):
        register(model, engine=engine, store=store)  # type: ignore[arg-type]
    with transaction(engine) as session:
        versions = session.scalars(
            select(DensityVersion.version).where(DensityVersion.model_version == "m-twice")
        ).all()
        assert (list(versions), session.get_one(ModelVersion, "m-twice").embedding_dim) == (
            ["m-twice-density-1"],
            EMBEDDING_DIM,
        )


def test_index_serves_its_model(engine: Engine, store: S3ObjectStore) -> None:
    register(OtherModel("m-index"), engine=engine, store=store)  # type: ignore[arg-type]
    query = text(
        f"EXPLAIN SELECT id FROM attributions WHERE model_version = 'm-index' "
        f"ORDER BY embedding::halfvec({EMBEDDING_DIM}) <-> '[1,0,0,0,0,0,0,0]' LIMIT 3"
    )
    with transaction(engine) as session:
        session.execute(text("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off"))
        plan = "\n".join(session.scalars(query))
    assert index_name("m-index") in plan


def test_broken_index_is_rebuilt(servers: EmbeddedServers, engine: Engine, store: S3ObjectStore) -> None:
    register(OtherModel("m-broken"), engine=engine, store=store)  # type: ignore[arg-type]
    name = index_name("m-broken")
    _mark_invalid(servers, engine, name)
    ensure_embedding_index(engine, "m-broken", embedding_dim=EMBEDDING_DIM, judged_dim=EMBEDDING_DIM)
    with transaction(engine) as session:
        statement = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(:name))")
        assert session.scalar(statement, {"name": name}) is True


def _mark_invalid(servers: EmbeddedServers, engine: Engine, name: str) -> None:
    """As a concurrent build that was interrupted leaves it; only the superuser may."""
    address = servers.postgres.admin_url.rpartition("/")[0] + f"/{engine.url.database}"
    with psycopg.connect(address, autocommit=True) as admin:
        changed = admin.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(quote_ident(%s))", [name]
        )
        assert changed.rowcount == 1


def test_new_density_is_swapped_in(
    make_worker: MakeWorker, submissions: Submissions, engine: Engine, store: S3ObjectStore
) -> None:
    model = OtherModel("m-swap")
    worker = make_worker(model)
    publish(engine, store, model, version="m-swap-2", seed=1)
    batch_id, (shard_id,) = submissions.submit({"a": picture(2000)}, send=False)
    worker.attribute_shard(shard_id)
    with transaction(engine) as session:
        made = session.get_one(Attribution, submissions.items(batch_id)["a"].attribution_id)
        assert (made.density_version, model.density_version) == ("m-swap-2", "m-swap-2")


def test_damaged_density_is_not_used(
    make_worker: MakeWorker, submissions: Submissions, engine: Engine, store: S3ObjectStore
) -> None:
    model = OtherModel("m-damaged")
    worker = make_worker(model)
    publish(engine, store, model, version="m-damaged-2", seed=1)
    store.put(density_key("m-damaged", "m-damaged-2"), b"something else", content_type="text/plain")
    batch_id, (shard_id,) = submissions.submit({"a": picture(2001)}, send=False)
    worker.attribute_shard(shard_id)
    assert (model.density_version, submissions.counts(batch_id)) == (
        "m-damaged-density-1",
        {"succeeded": 1},
    )


def test_refit_records_no_change(engine: Engine, store: S3ObjectStore) -> None:
    model = OtherModel("m-refit")
    register(model, engine=engine, store=store)  # type: ignore[arg-type]
    Refitter(engine=engine, store=store).run(model)  # type: ignore[arg-type]
    assert last_refit(engine, "m-refit") == ("no_change", "0 of 2 newly confirmed images")


def test_refit_restores_lost_artefact(engine: Engine, store: S3ObjectStore) -> None:
    model = OtherModel("m-restore")
    register(model, engine=engine, store=store)  # type: ignore[arg-type]
    key = density_key("m-restore", "m-restore-density-1")
    artefact = store.get(key)
    store.delete([key])
    Refitter(engine=engine, store=store).run(model)  # type: ignore[arg-type]
    assert (store.get(key), last_refit(engine, "m-restore")[0]) == (artefact, "published")


def test_refit_refuses_unknown_artefact(engine: Engine, store: S3ObjectStore) -> None:
    model = OtherModel("m-unknown")
    register(model, engine=engine, store=store)  # type: ignore[arg-type]
    publish(engine, store, model, version="m-unknown-2", seed=1)
    store.delete([density_key("m-unknown", "m-unknown-2")])
    Refitter(engine=engine, store=store).run(model)  # type: ignore[arg-type]
    assert last_refit(engine, "m-unknown")[0] == "refused"


def test_one_refit_at_a_time(engine: Engine, store: S3ObjectStore) -> None:
    model = OtherModel("m-one")
    register(model, engine=engine, store=store)  # type: ignore[arg-type]
    with transaction(engine) as other:
        assert try_lock(other, REFIT_LOCK)
        assert Refitter(engine=engine, store=store).run(model) is False  # type: ignore[arg-type]
    with transaction(engine) as session:
        runs = session.scalar(select(func.count()).where(Refit.model_version == "m-one"))
    assert runs == 0


@pytest.mark.parametrize("length", [10, 60, 128])
def test_index_names_fit(length: int) -> None:
    names = {index_name("m" * (length - 1) + last) for last in "ab"}
    assert len(names) == 2
    assert all(len(name) <= 63 for name in names)
