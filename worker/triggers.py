"""The written triggers of a refit: what must have happened before the density for everybody is fitted again.

Whatever they say is recorded. Nothing here reads a clock or a database.
"""

from dataclasses import dataclass
from datetime import timedelta

CONFIRMED_IMAGES = 200
CONFIRMED_SHARE = 0.05
# Of the known images. A fifth at once changes more named answers than the gates allow (simulated).
LARGEST_SHARE = 0.1


@dataclass(frozen=True)
class Situation:
    """What a refit is decided by: newly confirmed images, known ones, the density's age, requests and drift."""

    confirmed: int
    known: int
    age: timedelta
    asked: bool = False
    golden_drifts: bool = False  # golden p-values were not uniform twice in a row
    in_shadow: str | None = None  # the version that is there already


@dataclass(frozen=True)
class Decision:
    """Whether to refit, and the reason in words either way."""

    due: bool
    reason: str


def images_until_due(known_images: int) -> int:
    """Newly confirmed images that make a refit worth while: 200, or 5 % of the known ones when that is fewer."""
    return max(1, min(CONFIRMED_IMAGES, round(CONFIRMED_SHARE * known_images)))


def most_at_once(known_images: int) -> int:
    """Confirmed images that one refit may take in beyond those that the density in force holds."""
    return max(1, round(LARGEST_SHARE * known_images))


def decide_refit(situation: Situation, *, max_age: timedelta) -> Decision:
    """A refit is due when enough images were newly confirmed, or some were and there is another cause."""
    needed = images_until_due(situation.known)
    counted = f"{situation.confirmed} of {needed} newly confirmed images"
    causes = [
        (situation.asked, "asked for"),
        (situation.golden_drifts, "golden p-values were not uniform twice in a row"),
        (situation.age >= max_age, f"the density is {situation.age.days} days old"),
    ]
    named = "; ".join(words for holds, words in causes if holds)
    if situation.in_shadow is not None:
        return Decision(False, f"{situation.in_shadow} is in shadow; {counted}")
    if situation.confirmed >= needed:
        return Decision(True, counted)
    if named and situation.confirmed:
        return Decision(True, f"{named}; {counted}")
    return Decision(False, f"{named}; {counted}" if named else counted)
