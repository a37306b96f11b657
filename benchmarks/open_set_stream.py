"""Months of traffic with generators that come and go, one that drifts, and an attacker, under the product's own rules.

    python -m benchmarks.open_set_stream [--days 120] [--seeds 3] [--separation 3] [--plots docs/images]

Prints a table and draws four plots: how long a new generator goes undetected, false alarms against alpha, what an
attacker does to enrolments, and what refits cost. Embeddings are shaped like the starter model's, with class means
`--separation` times as far apart; at 1, its own, most new generators are taken for known ones.
"""

import argparse
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.stream_plots import plot_attack, plot_costs, plot_delay, plot_false_alarms
from benchmarks.stream_service import ALPHA, Change, Service, as_sample
from benchmarks.stream_world import ATTACKER, Generator, World, make_world
from leaktrace.records.quarantine import QuarantineRules
from leaktrace.science.gates import decisions

KNOWN_A_DAY, NEW_A_DAY = 12, 12  # images of each generator
LOOK_EVERY_DAYS, REFIT_EVERY_DAYS = 7, 7
# Scaled to the traffic here as the defaults are to a tenant's: a day's quarantine is about three generators' images.
RULES = QuarantineRules(per_tenant=2_000, per_batch=100, per_day=200, age_delay=timedelta(hours=1))
ATTACKS = (0, 10, 100, 1_000)  # crafted images a day
USUAL_ATTACK = 100  # of the runs that everything else is reported from
ALPHAS = (0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3)
ALARM_IMAGES = 300  # of each known generator


@dataclass(frozen=True)
class Run:
    """One seed's months: what was said of each generator's images a day, and what was changed."""

    world: World
    said: dict[str, list[dict[str, int]]]  # by generator, by day: images by answer
    changes: list[Change]
    attacker_held: float  # share of what the quarantine took in
    shown: dict[str, int]  # groups by whose most of their images are
    false_alarms: NDArray[np.float64]  # by ALPHAS


def main() -> None:
    arguments = _arguments()
    attacks = simulate_all(arguments)
    print_table(attacks[USUAL_ATTACK], attacks, arguments)
    draw(attacks, arguments.plots)


def simulate_all(arguments: argparse.Namespace) -> dict[int, list[Run]]:
    """The runs of all seeds by the strength of the attack, on as many processes as there are cores."""
    cases = [(attack, seed) for attack in ATTACKS for seed in range(arguments.seeds)]
    with ProcessPoolExecutor() as pool, threadpool_limits(1):
        futures = [pool.submit(simulate, seed, arguments, attack=attack) for attack, seed in cases]
        runs = [future.result() for future in futures]
    return {
        attack: [run for (own, _), run in zip(cases, runs, strict=True) if own == attack]
        for attack in ATTACKS
    }


def draw(attacks: dict[int, list[Run]], folder: Path) -> None:
    """Write the four plots."""
    runs = attacks[USUAL_ATTACK]
    folder.mkdir(parents=True, exist_ok=True)
    alarms = np.stack([run.false_alarms for run in runs])
    plots = {
        "delay": plot_delay(answers_by_age(runs)),
        "false-alarms": plot_false_alarms(ALPHAS, alarms),
        "attack": plot_attack({attack: attack_figures(found) for attack, found in attacks.items()}),
        "refits": plot_costs([change for run in runs for change in run.changes]),
    }
    for name, drawn in plots.items():
        (folder / f"open-set-{name}.svg").write_text(drawn)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--new", type=int, default=5, help="generators that appear and disappear")
    parser.add_argument("--separation", type=float, default=3.0)
    parser.add_argument("--plots", type=Path, default=Path("docs/images"), help="folder for the plots")
    return parser.parse_args()


def simulate(seed: int, arguments: argparse.Namespace, *, attack: int) -> Run:
    """All days of one seed."""
    random = np.random.default_rng(seed)
    world = make_world(random, days=arguments.days, new=arguments.new, separation=arguments.separation)
    service = Service(world, random, RULES)
    alarms = false_alarm_rates(service, random)
    said: dict[str, list[dict[str, int]]] = {
        one.name: [] for one in (*world.known, *world.new, world.attacker)
    }
    for day in range(arguments.days):
        counts = _counts(world, day, attack=attack)
        answers = service.judge_day(*_images(counts, random, day=day), day=day)
        place = 0
        for one, count in counts:
            own = answers[place : place + count]
            said[one.name].append(
                {
                    str(answer): int(number)
                    for answer, number in zip(*np.unique(own, return_counts=True), strict=True)
                }
            )
            place += count
        if day % LOOK_EVERY_DAYS == 0:
            service.look(day)
        if day % REFIT_EVERY_DAYS == 0:
            service.refit(day)
    taken = {whose: service.states[(whose, "held")] for whose in (True, False)}
    share = taken[True] / max(1, sum(taken.values()))
    return Run(world, said, service.changes, share, dict(service.shown), alarms)


def false_alarm_rates(service: Service, random: np.random.Generator) -> NDArray[np.float64]:
    """Share of new images of the known generators that are called unseen, for each of ALPHAS."""
    images = np.concatenate([one.draw(ALARM_IMAGES, random) for one in service.world.known])
    return np.array(
        [
            (decisions(service.judge_by(service.density, alpha=alpha), as_sample(images)) == "unseen").mean()
            for alpha in ALPHAS
        ]
    )


def answers_by_age(runs: list[Run]) -> dict[str, NDArray[np.float64]]:
    """Of all new generators together, the share of each answer by days since the generator appeared."""
    shares: dict[str, NDArray[np.float64]] = {}
    spans = [(one, run) for run in runs for one in run.world.new]
    length = min(min(one.last_day, len(run.said[one.name])) - one.first_day for one, run in spans)
    for answer in ("its name", "unseen", "inconclusive", "a known name"):
        totals = np.zeros(length)
        for one, run in spans:
            for age in range(length):
                day = run.said[one.name][one.first_day + age]
                totals[age] += _answered(day, answer, name=one.name)
        shares[answer] = totals / (NEW_A_DAY * len(spans))
    return shares


def enrolled_after(run: Run) -> list[float]:
    """For each new generator, days from its first image to its enrolment; infinite when it never was."""
    first = {change.name: change.day for change in reversed(run.changes) if _passed(change, "enrolment")}
    return [first.get(one.name, np.inf) - one.first_day for one in run.world.new]


def named_after(runs: list[Run]) -> float:
    """Share of the enrolled generators' images that got their name, from the day after the enrolment on."""
    named = total = 0
    for run in runs:
        for one, delay in zip(run.world.new, enrolled_after(run), strict=True):
            first = int(one.first_day + delay) + 1 if np.isfinite(delay) else len(run.said[one.name])
            for day in run.said[one.name][first : one.last_day]:
                named += day.get(one.name, 0)
                total += sum(day.values())
    return named / total if total else float("nan")


def attack_figures(runs: list[Run]) -> dict[str, float]:
    """Purity of what was enrolled, share of the quarantine that is the attacker's, generators enrolled."""
    enrolled = [change for run in runs for change in run.changes if _passed(change, "enrolment")]
    return {
        "purity": float(np.mean([change.purity for change in enrolled])) if enrolled else float("nan"),
        "share": float(np.mean([run.attacker_held for run in runs])),
        "enrolled": len(enrolled) / sum(len(run.world.new) for run in runs),
        "false alarms": float(np.mean([_alarm_rate(run) for run in runs])),
    }


def print_table(runs: list[Run], attacks: dict[int, list[Run]], arguments: argparse.Namespace) -> None:
    """What was found, in words and numbers."""
    delays = np.array([delay for run in runs for delay in enrolled_after(run)])
    found = delays[np.isfinite(delays)]
    print(f"{arguments.days} days, {arguments.seeds} seeds, {arguments.new} new generators each, "
          f"separation {arguments.separation:g}")  # fmt: skip
    middle = np.median(found) if len(found) else float("nan")
    print(f"enrolled {len(found)} of {len(delays)} new generators; days from the first image: "
          f"median {middle:.0f}, all {sorted(found.astype(int).tolist())}")  # fmt: skip
    print(f"of their images after that {named_after(runs):.1%} got their name")
    late = {answer: float(shares[-14:].mean()) for answer, shares in answers_by_age(runs).items()}
    print("answers for new generators in the last 14 days: "
          + ", ".join(f"{answer} {share:.1%}" for answer, share in late.items()))  # fmt: skip
    alarms = np.stack([run.false_alarms for run in runs]).mean(axis=0)
    print(
        "false alarms: "
        + ", ".join(f"{rate:.3f} at {alpha:g}" for alpha, rate in zip(ALPHAS, alarms, strict=True))
    )
    print(f"over the months at {ALPHA:g}: " + ", ".join(f"{_alarm_rate(run):.3f}" for run in runs))
    print("drifting generator, called unseen a fifth of the time each: "
          + ", ".join(f"{share:.3f}" for share in drift_alarms(runs)))  # fmt: skip
    shown = sum((Counter(run.shown) for run in runs), Counter[str]())
    print(f"groups shown at all looks, by whose most of their images are: {dict(shown)}")
    for kind in ("enrolment", "refit"):
        print_changes(kind, [change for run in runs for change in run.changes if change.kind == kind])
    print(f"{'attack a day':>13}{'purity':>9}{'enrolled':>10}{'false alarms':>14}{'of the quarantine':>19}")
    for attack, found_runs in attacks.items():
        figures = attack_figures(found_runs)
        print(f"{attack:>13}{figures['purity']:>9.3f}{figures['enrolled']:>10.0%}"
              f"{figures['false alarms']:>14.3f}{figures['share']:>19.1%}")  # fmt: skip


def print_changes(kind: str, made: list[Change]) -> None:
    """How many passed, how long they took, how pure their groups were, and what refused the others."""
    passed = sum(not change.failed for change in made)
    seconds = np.median([change.seconds for change in made]) if made else float("nan")
    reasons = Counter(name.split(":")[0] for change in made for name in change.failed)
    print(
        f"{kind}s: {passed} of {len(made)} passed the gates, median {seconds:.2f} s; refused by {dict(reasons)}"
    )
    if kind == "enrolment":
        pure = sorted(round(change.purity, 2) for change in made)
        print(
            f"  purity of their groups: median {np.median(pure):.2f}, least {pure[:5]}"
            if pure
            else "  no group"
        )
    else:
        print(
            f"  by the steps that were tried: {dict(sorted(Counter(change.steps for change in made).items()))}"
        )


def drift_alarms(runs: list[Run]) -> list[float]:
    """Share of the drifting generator's images called unseen, in five parts of the time."""
    days = [
        _answered(day, "unseen", name="") / KNOWN_A_DAY
        for run in runs
        for one in run.world.known
        if one.drift
        for day in run.said[one.name]
    ]
    return [float(part.mean()) for part in np.array_split(np.array(days).reshape(len(runs), -1), 5, axis=1)]


def _counts(world: World, day: int, *, attack: int) -> list[tuple[Generator, int]]:
    known = [(one, KNOWN_A_DAY) for one in world.known]
    new = [(one, NEW_A_DAY * one.is_there(day)) for one in world.new]
    return [*known, *new, (world.attacker, attack * world.attacker.is_there(day))]


def _images(
    counts: list[tuple[Generator, int]], random: np.random.Generator, *, day: int
) -> tuple[NDArray[np.float32], NDArray[np.str_], NDArray[np.int64]]:
    """Embeddings, makers and perceptual hashes; half of the attacker's are near copies of one picture."""
    embeddings = np.concatenate([one.draw(count, random, day=day) for one, count in counts])
    truths = np.repeat([one.name for one, _ in counts], [count for _, count in counts])
    hashes = random.integers(-(2**63), 2**63 - 1, size=len(truths))
    copies = (truths == ATTACKER) & (random.random(len(truths)) < 0.5)
    hashes[copies] = 1 << random.integers(0, 60, size=int(copies.sum()))
    return embeddings, truths, hashes


def _answered(day: dict[str, int], answer: str, *, name: str) -> int:
    if answer == "its name":
        return day.get(name, 0)
    if answer == "a known name":
        return sum(number for said, number in day.items() if said not in (name, "unseen", "inconclusive"))
    return day.get(answer, 0)


def _alarm_rate(run: Run) -> float:
    """Of the known generators that do not drift, over all days."""
    steady = [one.name for one in run.world.known if not one.drift]
    unseen = sum(day.get("unseen", 0) for name in steady for day in run.said[name])
    return unseen / (KNOWN_A_DAY * sum(len(run.said[name]) for name in steady))


def _passed(change: Change, kind: str) -> bool:
    return change.kind == kind and not change.failed


if __name__ == "__main__":
    main()
