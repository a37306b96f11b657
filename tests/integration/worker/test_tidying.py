"""Objects that no row names go once they are old; all that a row names, is new or is not ours stays."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select

from leaktrace.objects import ObjectMissing, S3ObjectStore, density_key, image_key, staged_key, thumbnail_key
from leaktrace.records.database import transaction
from leaktrace.records.models import TidyRun
from leaktrace.records.uploads import count_deletions
from tests.submissions import Submissions, pictures
from worker import tidying
from worker.tidying import Tidier

OLD = timedelta(seconds=-60)  # as if a minute more had passed
TYPE = "application/octet-stream"


def is_there(store: S3ObjectStore, key: str) -> bool:
    try:
        return store.size(key) >= 0
    except ObjectMissing:
        return False


def test_only_unnamed_objects_go(submissions: Submissions, engine: Engine, store: S3ObjectStore) -> None:
    batch_id = submissions.open()
    submissions.upload(batch_id, pictures(1, first_seed=1))
    item_id = submissions.stage(batch_id, "promised", b"x", sha256="e" * 64)
    with transaction(engine) as session:
        before = count_deletions(session, submissions.tenant_id)
    tenant_id = submissions.tenant_id
    orphans = [
        image_key(tenant_id, "0" * 64),
        thumbnail_key(tenant_id, "0" * 64),
        staged_key(tenant_id, uuid4()),
        density_key("model", "lost"),
    ]
    promised = [image_key(tenant_id, "e" * 64), thumbnail_key(tenant_id, "e" * 64)]
    kept = [staged_key(tenant_id, item_id), *promised, "elsewhere/file"]
    for key in [*orphans, *promised, "elsewhere/file"]:
        store.put(key, b"x", content_type=TYPE)
    Tidier(engine=engine, store=store, grace=OLD).run()
    assert [is_there(store, key) for key in orphans] == [False] * 4
    assert [is_there(store, key) for key in kept] == [True] * 4
    with transaction(engine) as session:
        assert count_deletions(session, tenant_id) == before + 1
        (run,) = session.scalars(select(TidyRun))
        assert (run.deleted, run.last_key) == (4, "")


def test_new_object_stays(submissions: Submissions, engine: Engine, store: S3ObjectStore) -> None:
    key = image_key(submissions.tenant_id, "1" * 64)
    store.put(key, b"x", content_type=TYPE)
    Tidier(engine=engine, store=store, grace=timedelta(hours=1)).run()
    assert is_there(store, key)


def test_run_goes_on_where_one_ended(engine: Engine, store: S3ObjectStore) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tidying, "OBJECTS_A_PAGE", 1)
        patch.setattr(tidying, "PAGES_A_RUN", 1)
        for key in ("zz/1", "zz/2"):
            store.put(key, b"x", content_type=TYPE)
        tidier = Tidier(engine=engine, store=store, grace=OLD)
        seen: list[str] = []
        while "" not in seen:
            tidier.run()
            with transaction(engine) as session:
                seen.append(
                    session.scalars(select(TidyRun.last_key).order_by(TidyRun.id.desc())).first() or ""
                )
    assert seen[-3:] == ["zz/1", "zz/2", ""]
