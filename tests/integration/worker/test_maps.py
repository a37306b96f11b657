"""Maps of embeddings on the real database: drawn once, again when asked, and of one tenant's own images alone."""

from uuid import UUID

import pytest
from sqlalchemy import Engine

from leaktrace.objects import S3ObjectStore
from leaktrace.records.database import transaction
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.maps import DrawnMap, ask_for_map, read_map
from leaktrace.science.layout import LayoutRules
from tests.attributors import FakeAttributor
from tests.unseen import add_unseen, blob
from worker import maps
from worker.maps import MapDrawer
from worker.registration import register


@pytest.fixture
def model(engine: Engine, store: S3ObjectStore) -> FakeAttributor:
    model = FakeAttributor()
    register(model, engine=engine, store=store)  # type: ignore[arg-type]
    return model


@pytest.fixture
def drawer(engine: Engine) -> MapDrawer:
    return MapDrawer(engine=engine, rules=LayoutRules(epochs=5))


def drawn(engine: Engine, model: FakeAttributor, tenant: str) -> DrawnMap:
    with transaction(engine) as session:
        return read_map(session, ensure_tenant(session, tenant), model_version=model.version)


def ask(engine: Engine, model: FakeAttributor, tenant: str) -> None:
    with transaction(engine) as session:
        ask_for_map(session, ensure_tenant(session, tenant), model_version=model.version)


def shown(found: DrawnMap) -> set[UUID]:
    return {place.image_id for place in found.places}


def test_map_shows_own_images(engine: Engine, model: FakeAttributor, drawer: MapDrawer) -> None:
    mine = add_unseen(engine, model, blob(1, axis=0, count=8), tenant="mapper")
    theirs = add_unseen(engine, model, blob(2, axis=1, count=5), tenant="other-mapper")
    assert drawer.run(model) is True  # type: ignore[arg-type]
    assert shown(drawn(engine, model, "mapper")) == set(mine)
    assert shown(drawn(engine, model, "other-mapper")) == set(theirs)


def test_map_is_drawn_again_when_asked(engine: Engine, model: FakeAttributor, drawer: MapDrawer) -> None:
    add_unseen(engine, model, blob(1, axis=0, count=4), tenant="asker")
    drawer.run(model)  # type: ignore[arg-type]
    add_unseen(engine, model, blob(2, axis=0, count=4), tenant="asker")
    drawer.run(model)  # type: ignore[arg-type]
    assert len(drawn(engine, model, "asker").places) == 4
    ask(engine, model, "asker")
    assert drawn(engine, model, "asker").asked_at is not None
    drawer.run(model)  # type: ignore[arg-type]
    again = drawn(engine, model, "asker")
    assert (len(again.places), again.images, again.asked_at) == (8, 8, None)


def test_map_is_bounded(
    engine: Engine, model: FakeAttributor, drawer: MapDrawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "IMAGES_ON_MAP", 6)
    add_unseen(engine, model, blob(1, axis=0, count=20), tenant="bounded")
    drawer.run(model)  # type: ignore[arg-type]
    found = drawn(engine, model, "bounded")
    assert (len(found.places), found.images) == (6, 20)


def test_few_images_make_no_map(engine: Engine, model: FakeAttributor, drawer: MapDrawer) -> None:
    add_unseen(engine, model, blob(1, axis=0, count=2), tenant="sparse")
    drawer.run(model)  # type: ignore[arg-type]
    found = drawn(engine, model, "sparse")
    assert (found.places, found.drawn_at is not None) == ([], True)
