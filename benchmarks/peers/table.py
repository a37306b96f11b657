"""`python -m benchmarks.peers.table OURS.json PEER.json...`: runs as one table in Markdown, with paired differences.

A difference is ours minus the peer's on the same images. Knows nothing of how a run was made.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leaktrace.science.training.runs import compare, read_run

HEAD = (
    "method",
    "macro AUC",
    "top-1",
    "top-1, 512 px",
    "top-1, 1024 px",
    "ECE",
    "open set near",
    "medium",
    "far",
    "ours minus it: macro AUC",
    "top-1",
)
COLUMNS = (
    ("closed_set", "macro_auc"),
    ("closed_set", "top1"),
    ("groups", "512px", "top1"),
    ("groups", "1024px", "top1"),
    ("closed_set", "ece"),
    ("open_set", "tier near", "auroc"),
    ("open_set", "tier medium", "auroc"),
    ("open_set", "tier far", "auroc"),
)
PAIRED = ("closed_set / macro_auc", "closed_set / top1")


def table(ours: Mapping[str, Any], peers: Sequence[Mapping[str, Any]]) -> str:
    """All rows, ours first, then peers from the best macro AUC down, then the controls."""
    ranked = sorted(peers, key=lambda run: -run["closed_set"]["macro_auc"]["value"])
    rows = [HEAD, ["---"] * len(HEAD), [f"**{ours['model']}**", *_cells(ours), "", ""]]
    rows += [[run["model"], *_cells(run), *_differences(ours, run)] for run in ranked]
    rows += [
        [f"control: {name}", *_cells(found), "", ""] for name, found in ours["controls"].items() if found
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cells(run: Mapping[str, Any]) -> list[str]:
    return [_cell(run, path) for path in COLUMNS]


def _cell(run: Mapping[str, Any], path: Sequence[str]) -> str:
    found: Any = run
    for key in path:
        found = (found or {}).get(key)
    return "" if found is None else f"{found['value']:.3f} ({found['low']:.2f} to {found['high']:.2f})"


def _differences(ours: Mapping[str, Any], peer: Mapping[str, Any]) -> list[str]:
    figures = {found["figure"]: found for found in compare([dict(ours)], [dict(peer)])["figures"]}
    return [_difference(figures[name]["difference"]) for name in PAIRED]


def _difference(found: Mapping[str, float]) -> str:
    return f"{found['value']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"


def main() -> None:
    """Print the table of the files that are named."""
    ours, *peers = (read_run(Path(path))[0] for path in sys.argv[1:])
    print(table(ours, peers))


if __name__ == "__main__":
    main()
