"""A batch's results together: what the summary counts, and where the pages of a filter end."""

from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine

from leaktrace.records.database import transaction
from leaktrace.records.gallery import find_places
from leaktrace.records.keys import ensure_tenant
from leaktrace.records.results import ResultFilter
from tests.integration.api.service import MakeClient, complete_batch, picture, register_model

NAMES = [f"s{n}" for n in range(7)]


@pytest.fixture(scope="module")
def batch(client: httpx.Client, engine: Engine) -> str:
    """A completed batch of seven, of which two failed; every attributed one has the p-value 0.5."""
    register_model(engine)
    return complete_batch(
        client, engine, {name: picture(700 + n) for n, name in enumerate(NAMES)}, failed=("s2", "s5")
    )


def test_summary_counts_results(client: httpx.Client, batch: str) -> None:
    summary = client.get(f"/v1/batches/{batch}/summary").json()
    assert (summary["verdicts"], summary["generators"], summary["failures"]) == (
        {"generator": 5},
        {"sd-2.1": 5},
        {"truncated": 2},
    )
    assert (summary["p_values"][10], sum(summary["p_values"])) == (5, 5)
    assert summary["seconds_left"] is None


def test_empty_batch_has_summary(client: httpx.Client, batch_id: str) -> None:
    summary = client.get(f"/v1/batches/{batch_id}/summary").json()
    assert (summary["verdicts"], sum(summary["p_values"]), summary["images_per_second"]) == ({}, 0, None)


def test_foreign_summary_is_not_found(make_client: MakeClient, batch: str) -> None:
    assert make_client(tenant="other").get(f"/v1/batches/{batch}/summary").status_code == 404


@pytest.mark.parametrize(
    ("chosen", "page", "ends"),
    [
        (ResultFilter(), 3, ["s2", "s5", "s6"]),
        (ResultFilter(), 7, ["s6"]),
        (ResultFilter(verdict="generator"), 2, ["s1", "s4", "s6"]),
        (ResultFilter(error_code="truncated"), 100, ["s5"]),
        (ResultFilter(verdict="unseen"), 2, []),
    ],
)
def test_places_end_every_page(
    engine: Engine, batch: str, chosen: ResultFilter, page: int, ends: list[str]
) -> None:
    with transaction(engine) as session:
        tenant_id = ensure_tenant(session, "acme")
        places = find_places(session, tenant_id, batch_id=UUID(batch), chosen=chosen, page=page)
    assert places.ends == ends
