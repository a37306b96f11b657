"""Evaluation runs and comparisons as tables on the terminal.

Knows nothing of how a figure is computed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

CLOSED = {
    "macro_auc": "macro AUC",
    "top1": "top-1",
    "balanced_accuracy": "balanced",
    "ece": "ECE",
    "brier": "Brier",
}
OPEN = {"auroc": "AUROC", "aupr": "AUPR", "eer": "EER", "fpr_at_95_tpr": "FPR@95", "oscr": "OSCR"}
FLAGGED = "flagged_at_"
EXPLAINED = ("step", "features", "prototype")  # what an explanation names and faithfulness removes


def show(runs: Sequence[dict[str, Any]], console: Console) -> None:
    """All tables of each run, then mean and spread when there are several."""
    for run in runs:
        _show_run(run, console)
    if len(runs) > 1:
        from leaktrace.science.training.runs import joined

        console.print(_spread_table(joined(runs)["over_models"], models=len(runs)))


def show_comparison(comparison: Mapping[str, Any], console: Console) -> None:
    """Each figure of both runs with the interval of their difference."""
    names = [", ".join(comparison[side]) for side in ("first", "second")]
    title = f"{comparison['images']} images judged by both"
    table = Table("figure", *map(escape, names), "difference", "95 % interval", "p", title=title)
    for figure in comparison["figures"]:
        difference = figure["difference"]
        table.add_row(
            escape(figure["figure"]),
            f"{figure['first']:.4f}",
            f"{figure['second']:.4f}",
            f"{difference['value']:+.4f}",
            f"{difference['low']:+.4f} to {difference['high']:+.4f}",
            f"{figure['p']:.3f}",
        )
    console.print(table)
    if (test := comparison["mcnemar"]) is not None:
        console.print(
            f"McNemar on top-1: the first alone is right on {test['only_first_right']} images, "
            f"the second alone on {test['only_second_right']}; p = {test['p']:.3g}"
        )
    if len(comparison["protocols"]) > 1:
        console.print(f"note: different protocols, {' and '.join(comparison['protocols'])}")


def _show_run(run: Mapping[str, Any], console: Console) -> None:
    console.print(
        f"{escape(run['model'])}, protocol {run['protocol']}: {run['images']} images, "
        f"{run['left_out_because_they_made_the_model']} left out, {len(run['refused'])} refused"
    )
    if run["closed_set"] is not None:
        console.print(_closed_table(run))
        console.print(
            f"ECE of a model that is calibrated exactly, on as many images: {_cell(run['closed_set'], 'ece_by_chance')}"
        )
        console.print(_class_table(run["closed_set"]["class_auc"]))
    if run["open_set"]:
        console.print(_open_table(run["open_set"]))
    for alpha, alarms in (run["false_alarms"] or {}).items():
        console.print(_alarm_table(alarms, alpha=float(alpha)))
    if run.get("faithfulness"):
        console.print(_faithfulness_table(run["faithfulness"]))
    for line in _checks(run):
        console.print(line)


def _closed_table(run: Mapping[str, Any]) -> Table:
    """The figures of the whole closed set and of each size group, beside what the controls reach."""
    columns = {"model": run} | {name: found for name, found in run["controls"].items() if found}
    table = Table("set", "figure", *columns, title="closed set, and controls that see no trace")
    sections = {column: dict(_sections(one)) for column, one in columns.items()}
    for name in sections["model"]:
        for figure, title in CLOSED.items():
            table.add_row(name, title, *(_cell(found.get(name), figure) for found in sections.values()))
    return table


def _sections(run: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [("all", run["closed_set"] or {}), *run["groups"].items()]


def _cell(section: Mapping[str, Any] | None, figure: str) -> str:
    if not section or figure not in section:
        return "–"
    found = section[figure]
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _class_table(aucs: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table("generator", "AUC against the rest", "95 % interval")
    for name, auc in aucs.items():
        table.add_row(escape(name), f"{auc['value']:.4f}", f"{auc['low']:.4f} to {auc['high']:.4f}")
    return table


def _open_table(unseen: Mapping[str, Any]) -> Table:
    flags = sorted({key for found in unseen.values() for key in found if key.startswith(FLAGGED)})
    titles = [*OPEN.values(), *(f"p<={flag.removeprefix(FLAGGED)}" for flag in flags)]
    table = Table("unseen", "images", *titles, title="open set: novelty against all known images")
    for name, found in unseen.items():
        cells = [_short(found.get(figure)) for figure in (*OPEN, *flags)]
        table.add_row(escape(name), str(found["images"]), *cells)
    return table


def _short(figure: Mapping[str, float] | None) -> str:
    return "–" if figure is None else f"{figure['value']:.3f} ±{(figure['high'] - figure['low']) / 2:.3f}"


def _alarm_table(alarms: Mapping[str, Any], *, alpha: float) -> Table:
    table = Table(
        "generator",
        "images",
        "rate",
        "alpha + 2 s.e.",
        "",
        title=f"conformal false alarms at alpha = {alpha:g}",
    )
    for name, alarm in alarms.items():
        limit = alpha + alarm["two_standard_errors"]
        said = "too many" if alarm["rate"] > limit else ""
        if not alarm["attainable"]:
            said = (
                f"unattainable: {alarm['calibration_images']} of {alarm['calibration_images_needed']} images"
            )
        table.add_row(escape(name), str(alarm["images"]), f"{alarm['rate']:.3f}", f"{limit:.3f}", said)
    return table


def _faithfulness_table(found: Mapping[str, Any]) -> Table:
    title = f"faithfulness: change of the margin ({found['margin']:.2f}) on {found['images']} images"
    table = Table("removed", "named", "at random", "difference", "named changes more", title=title)
    for part in EXPLAINED:
        row = found[part]
        cells = [_cell(row, column) for column in ("named", "random", "difference")]
        table.add_row(f"{row['removed']} {part}", *cells, f"{row['named_changes_more']:.0%}")
    return table


def _checks(run: Mapping[str, Any]) -> list[str]:
    """One line for each thing that must come out at chance, and for what was found across the splits."""
    lines = []
    for name, found in run["sanity"].items():
        for figure, check in (found or {}).items():
            if isinstance(check, dict):
                verdict = "at chance" if check["at_chance"] else "NOT AT CHANCE"
                lines.append(
                    f"{name} {figure}: {check['mean']:.3f} ({check['low']:.3f} to {check['high']:.3f}), "
                    f"chance {check['chance']:.3f}: {verdict}"
                )
    near = run["near_duplicates"]
    lines.append(
        f"near-duplicates: {near['found']} of {near['judged_images']} judged images look like one of "
        f"{near['fitted_images']} that may have been fitted (within {near['near_bits']} of 64 bits)"
    )
    return lines


def _spread_table(over_models: Mapping[str, Any], *, models: int) -> Table:
    table = Table("figure", "mean", "95 % interval", "spread", title=f"over {models} models")
    for name, figure in over_models.items():
        interval = f"{figure['low']:.4f} to {figure['high']:.4f}"
        table.add_row(escape(name), f"{figure['value']:.4f}", interval, f"{figure['spread']:.4f}")
    return table
