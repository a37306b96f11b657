"""Adds results up: per generator how many and their median p-value; unseen, inconclusive, failed with reasons.

Counts what came back and nothing else. `agreement` compares with the folder names afterwards; the service has never
seen those comparisons.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from leaktrace.client import FileAnswer, Result

if TYPE_CHECKING:
    from rich.table import Table


@dataclass
class Summary:
    """p-values by generator of the images attributed to it, and the other outcomes."""

    p_values: dict[str, list[float]] = field(default_factory=dict)
    unseen: list[float] = field(default_factory=list)
    inconclusive: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All images, whatever became of them."""
        attributed = sum(len(values) for values in self.p_values.values())
        return attributed + len(self.unseen) + len(self.inconclusive) + self.failed.total() + self.cancelled

    def rows(self) -> list[tuple[str, int, float | None]]:
        """Outcome, count and median p-value: the generators by count, then the others."""
        generators = sorted(self.p_values.items(), key=lambda entry: (-len(entry[1]), entry[0]))
        others = [("unseen", self.unseen), ("inconclusive", self.inconclusive)]
        return [
            (name, len(values), median(values) if values else None) for name, values in generators + others
        ]


@dataclass(frozen=True)
class Agreement:
    """How folder names and verdicts compare, for folders that name a known generator and for the others."""

    known: int
    same: int
    other: int
    unknown: int
    unknown_unseen: int

    def words(self) -> str:
        """The comparison in one or two sentences."""
        none = self.known - self.same - self.other
        parts = [
            f"Compared with the folder names (which the service never saw): of {self.known} images in "
            f"folders named after a known generator {self.same} ({self.same / self.known:.0%}) were attributed to it, "
            f"{self.other} to another, {none} to none."
        ]
        if self.unknown:
            share = self.unknown_unseen / self.unknown
            parts.append(
                f"Of {self.unknown} in other folders {self.unknown_unseen} ({share:.0%}) were called unseen."
            )
        return " ".join(parts)


def summarise(results: Iterable[Result], refused: Iterable[FileAnswer] = ()) -> Summary:
    """Add up results, and the files that were refused before they became items."""
    summary = Summary()
    for result in results:
        _add(summary, result)
    for answer in refused:
        summary.failed[answer.error.code if answer.error else "refused"] += 1
    return summary


def agreement(results: Iterable[Result], known_generators: Iterable[str]) -> Agreement | None:
    """Compare verdicts with the names of the folders; None when no folder is named after a known generator."""
    known = frozenset(known_generators)
    judged = [(folder_of(result.custom_id), result.attribution) for result in results if result.attribution]
    named = [(folder, found) for folder, found in judged if folder in known]
    others = [found for folder, found in judged if folder and folder not in known]
    if not named:
        return None
    same = sum(1 for folder, found in named if found.generator == folder)
    return Agreement(
        known=len(named),
        same=same,
        other=sum(1 for _, found in named if found.generator is not None) - same,
        unknown=len(others),
        unknown_unseen=sum(1 for found in others if found.verdict == "unseen"),
    )


def folder_of(custom_id: str) -> str:
    """The name of the folder that the file lies in; empty when it lies in none."""
    parts = custom_id.split("/")
    return parts[-2] if len(parts) > 1 else ""


def summary_table(summary: Summary) -> "Table":
    """The summary as a table for the terminal."""
    from rich.table import Table

    from leaktrace.cli.terminal import styled

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("outcome")
    table.add_column("images", justify="right")
    table.add_column("median p-value", justify="right")
    styles = {"unseen": "yellow", "inconclusive": "bright_black"}
    for name, count, middle in summary.rows():
        shown = "" if middle is None else f"{middle:.3f}"
        table.add_row(styled(name, styles.get(name, "green")), str(count), shown)
    for code, count in summary.failed.most_common():
        table.add_row(styled(f"failed: {code}", "red"), str(count), "")
    if summary.cancelled:
        table.add_row("cancelled", str(summary.cancelled), "")
    return table


def _add(summary: Summary, result: Result) -> None:
    found = result.attribution
    if found is None:
        if result.state == "cancelled":
            summary.cancelled += 1
        else:
            summary.failed[result.error.code if result.error else result.state] += 1
    elif found.verdict == "generator" and found.generator is not None:
        summary.p_values.setdefault(found.generator, []).append(found.p_value)
    elif found.verdict == "unseen":
        summary.unseen.append(found.p_value)
    else:
        summary.inconclusive.append(found.p_value)
