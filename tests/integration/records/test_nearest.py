"""The nearest images of a tenant: the same by the index as exactly, never another tenant's, each image once."""

import numpy as np
import pytest
from sqlalchemy import Engine, text

from leaktrace.records import nearest
from leaktrace.records.database import transaction
from leaktrace.records.densities import DensityCheckpoint, publish_first_density
from leaktrace.records.embedding_index import drop_embedding_index, ensure_embedding_index, index_name
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.nearest import find_nearest, search
from leaktrace.records.registry import register_model, retire_model
from tests.attributors import EMBEDDING_DIM, FakeAttributor
from tests.unseen import add_unseen

NEIGHBOURS = 5
FAR = 100.0  # what numbers that have no say are stretched by


class Model(FakeAttributor):
    def __init__(self, name: str, *, judged_dim: int) -> None:
        super().__init__()
        self.version, self.density_version = name, f"{name}-density"
        self.judged_dim = judged_dim

    def build_index(self, engine: Engine) -> None:
        ensure_embedding_index(
            engine, self.version, embedding_dim=self.embedding_dim, judged_dim=self.judged_dim
        )


@pytest.fixture(params=[EMBEDDING_DIM, EMBEDDING_DIM - 3])
def model(engine: Engine, request: pytest.FixtureRequest) -> Model:
    name = request.node.name.replace("_", "-").split("[")[0]
    model = Model(f"{name}-{request.param}", judged_dim=request.param)
    with transaction(engine) as session:
        register_model(
            session,
            model.version,
            card={},
            classes=model.classes,
            embedding_dim=model.embedding_dim,
            judged_dim=model.judged_dim,
        )
        checkpoint = DensityCheckpoint(model.density_version, model.density_version, "0" * 64, 1)
        publish_first_density(session, checkpoint, model_version=model.version, details={})
    return model


def embeddings(count: int, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, EMBEDDING_DIM)).astype(np.float32)


@pytest.mark.parametrize("exact_up_to", [0, 1_000])
def test_nearest_are_the_tenants_own(
    engine: Engine, model: Model, monkeypatch: pytest.MonkeyPatch, exact_up_to: int
) -> None:
    monkeypatch.setattr(nearest, "EXACT_UP_TO", exact_up_to)
    model.build_index(engine)
    points = embeddings(60, seed=exact_up_to)
    judged = points[:, : model.judged_dim].copy()
    points[:, model.judged_dim :] *= FAR
    tenant = f"owner-{exact_up_to}-{model.judged_dim}"
    images = add_unseen(engine, model, points, tenant=tenant)
    add_unseen(engine, model, np.repeat(points[:1], 200, axis=0) + 1e-3, tenant="crowd")
    expected = np.argsort(np.linalg.norm(judged - judged[0], axis=1))[1 : NEIGHBOURS + 1]
    with transaction(engine) as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        version, found = find_nearest(
            session, ensure_tenant(session, tenant), image_id=images[0], limit=NEIGHBOURS
        )
    assert (version, [one.attribution.image_id for one in found]) == (
        model.version,
        [images[row] for row in expected],
    )


def test_index_is_used_by_query(engine: Engine, model: Model) -> None:
    model.build_index(engine)
    with transaction(engine) as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_sort = off"))
        tenant_id = ensure_tenant(session, "planner")
        statement = nearest.nearest_rows(
            tenant_id,
            embedding=embeddings(1, seed=0)[0],
            judged_dim=model.judged_dim,
            model_version=model.version,
            exact=False,
        ).limit(3)
        written = statement.compile(engine, compile_kwargs={"literal_binds": True})
        raw = session.connection().exec_driver_sql(f"EXPLAIN {written}")
        plan = "\n".join(row[0] for row in raw)
    assert index_name(model.version) in plan


def test_image_judged_twice_comes_once(engine: Engine, model: Model) -> None:
    points = embeddings(4, seed=3)
    tenant = f"twice-{model.judged_dim}"
    images = add_unseen(engine, model, points, tenant=tenant)
    with transaction(engine) as session:
        session.execute(
            text(
                "INSERT INTO density_versions (version, model_version, state, object_key, sha256, known_images, "
                "reason) VALUES (:v, :m, 'retired', 'k', 's', 1, 'test')"
            ),
            {"v": f"{model.version}-again", "m": model.version},
        )
        columns = (
            "tenant_id, image_id, model_version, verdict, p_value, smallest_p, alpha, reason, probabilities, "
            "p_values, explanation, timings, embedding"
        )
        session.execute(
            text(
                f"INSERT INTO attributions ({columns}, density_version) SELECT {columns}, :v FROM attributions "
                "WHERE model_version = :m"
            ),
            {"v": f"{model.version}-again", "m": model.version},
        )
        found = search(
            session,
            ensure_tenant(session, tenant),
            embedding=points[0],
            model_version=model.version,
            limit=4,
        )
    assert sorted(image for image, _ in found) == sorted(images)


def test_retired_model_loses_its_index(engine: Engine, model: Model) -> None:
    model.build_index(engine)
    with transaction(engine) as session:
        retire_model(session, model.version, actor="cli")
    for _ in range(2):
        drop_embedding_index(engine, model.version)
    with transaction(engine) as session:
        name = session.scalar(text("SELECT to_regclass(quote_ident(:n))"), {"n": index_name(model.version)})
    assert name is None
