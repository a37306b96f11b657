"""Candidate generators: groups in a tenant's quarantine, the same row from run to run.

A group found again is recognised by its members, so that a person who looked at a candidate yesterday finds it today
under the same id, with its growth. Knows nothing of how groups are found.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from leaktrace.errors import NotFound
from leaktrace.records.events import announce
from leaktrace.records.models import Image
from leaktrace.records.open_set_models import Candidate, QuarantinedImage

SAME_SHARE = 0.5


class CandidateNotFound(NotFound):
    """The tenant has no such candidate."""

    code = "candidate_not_found"


@dataclass(frozen=True)
class FoundGroup:
    """A group of held images (quarantine ids), and what is said of it."""

    members: tuple[UUID, ...]
    medoids: tuple[str, ...]  # image ids
    nearest_generator: str
    novelty: float
    stability: float
    confidence: float
    sources: dict[str, Any]


def save_groups(
    session: Session,
    tenant_id: UUID,
    *,
    model_version: str,
    groups: Sequence[FoundGroup],
    before: dict[UUID, UUID],
) -> list[UUID]:
    """Update the candidates that were found again, add new ones, let go of the others; returns their ids.

    `before` gives the candidate of a held image at the last run, where it had one.
    """
    kept: list[UUID] = []
    for group in groups:
        known = _recognise(session, group, before=before, taken=kept)
        candidate = known or Candidate(
            tenant_id=tenant_id, model_version=model_version, previous_size=0, size=0, runs=0
        )
        session.add(candidate)
        _describe(candidate, group)
        session.flush()
        if known is None:
            _announce(session, candidate)
        _mark_members(session, candidate.id, group.members)
        kept.append(candidate.id)
    _let_go(session, tenant_id, model_version=model_version, kept=kept)
    return kept


def list_candidates(session: Session, tenant_id: UUID) -> list[Candidate]:
    """The tenant's open candidates, the surest first."""
    statement = select(Candidate).where(Candidate.tenant_id == tenant_id, Candidate.state == "open")
    return list(session.scalars(statement.order_by(Candidate.confidence.desc(), Candidate.id)))


def find_candidate(session: Session, tenant_id: UUID, *, candidate_id: UUID) -> Candidate:
    """One candidate of the tenant's.

    Raises:
        CandidateNotFound: there is none.
    """
    statement = select(Candidate).where(Candidate.tenant_id == tenant_id, Candidate.id == candidate_id)
    candidate = session.execute(statement).scalar_one_or_none()
    if candidate is None:
        raise CandidateNotFound(f"there is no candidate {candidate_id}")
    return candidate


def medoid_hash(session: Session, tenant_id: UUID, *, candidate_id: UUID, number: int) -> str:
    """The content hash of the candidate's medoid `number` (0 is the most typical image).

    Raises:
        CandidateNotFound: there is no such candidate, or it has fewer medoids, or that image was deleted.
    """
    candidate = find_candidate(session, tenant_id, candidate_id=candidate_id)
    sha256 = None
    if number < len(candidate.medoids):
        image_id = UUID(candidate.medoids[number])
        statement = select(Image.sha256).where(Image.tenant_id == tenant_id, Image.id == image_id)
        sha256 = session.execute(statement).scalar_one_or_none()
    if sha256 is None:
        raise CandidateNotFound(f"candidate {candidate_id} has no medoid {number}")
    return sha256


def _recognise(
    session: Session, group: FoundGroup, *, before: dict[UUID, UUID], taken: Sequence[UUID]
) -> Candidate | None:
    """The open candidate to which most of the group's earlier images belonged, if that is a good part of them."""
    earlier = Counter(before[member] for member in group.members if member in before)
    for candidate_id, shared in earlier.most_common():
        candidate = session.get(Candidate, candidate_id)
        if candidate is None or candidate.state != "open" or candidate_id in taken:
            continue
        if shared >= SAME_SHARE * min(candidate.size, len(group.members)):
            return candidate
    return None


def _describe(candidate: Candidate, group: FoundGroup) -> None:
    candidate.previous_size, candidate.size = candidate.size, len(group.members)
    candidate.runs += 1
    candidate.medoids = list(group.medoids)
    candidate.nearest_generator, candidate.novelty = group.nearest_generator, group.novelty
    candidate.stability, candidate.confidence = group.stability, group.confidence
    candidate.sources, candidate.seen_at = group.sources, func.now()


def _announce(session: Session, candidate: Candidate) -> None:
    facts = ("model_version", "size", "nearest_generator", "novelty", "confidence")
    data = {"candidate_id": str(candidate.id), **{name: getattr(candidate, name) for name in facts}}
    announce(session, candidate.tenant_id, "candidate.found", data)


def _mark_members(session: Session, candidate_id: UUID, members: Sequence[UUID]) -> None:
    session.execute(
        update(QuarantinedImage)
        .where(QuarantinedImage.candidate_id == candidate_id, QuarantinedImage.id.not_in(members))
        .values(candidate_id=None)
    )
    session.execute(
        update(QuarantinedImage).where(QuarantinedImage.id.in_(members)).values(candidate_id=candidate_id)
    )


def _let_go(session: Session, tenant_id: UUID, *, model_version: str, kept: Sequence[UUID]) -> None:
    session.execute(
        update(Candidate)
        .where(
            Candidate.tenant_id == tenant_id,
            Candidate.model_version == model_version,
            Candidate.state == "open",
            Candidate.id.not_in(kept),
        )
        .values(state="gone")
    )
