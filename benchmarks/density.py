"""How much faster the bandwidth search of leaktrace is than scikit-learn's, on the same points in one run.

    python -m benchmarks.density [--size 10000] [--dimensions 128] [--threads 1] [--truncated 0]

Seven bandwidths by five folds in float64, the same folds for both, in seconds of processor time, which other work on
the machine disturbs less. Trees answer wrongly at small bandwidths, so the scores of both are also compared with an
exact recomputation of a few points. `--truncated N` also scores a few queries against N points with the truncated
density and the exact one; its points lie in many separate groups, which is the case that truncation is for.
"""

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity
from threadpoolctl import threadpool_limits

from leaktrace.science.kde import BANDWIDTHS, GaussianKDE
from leaktrace.science.truncated_kde import TruncatedKDE

Floats = NDArray[np.float64]
Result = TypeVar("Result")

FOLDS = 5
CLUSTERS = 9
CHECKED_POINTS = 200
TRUNCATED_CLUSTERS = 100
TRUNCATED_BANDWIDTH = 0.4
# Both get the same memory for blocks, enough that a block has many queries.
TRUNCATED_CHUNK_BYTES = 512 << 20


def main() -> None:
    arguments = _arguments()
    points = _clustered(arguments.size, arguments.dimensions)
    print(f"{len(BANDWIDTHS)} bandwidths x {FOLDS} folds, {arguments.size} x {arguments.dimensions}, "
          f"{arguments.threads} thread(s)")  # fmt: skip
    with threadpool_limits(arguments.threads):
        ours, our_seconds = _timed(lambda: GaussianKDE(bandwidths=BANDWIDTHS, folds=FOLDS).fit(points))
        theirs, their_seconds = _timed(lambda: _scikit_learn_search(points))
    print(f"leaktrace     {our_seconds:8.2f} s CPU   bandwidth {ours.bandwidth_}")
    print(f"scikit-learn  {their_seconds:8.2f} s CPU   bandwidth {theirs.best_params_['bandwidth']}")
    print(f"ratio         {their_seconds / our_seconds:8.1f} x")
    _print_errors(points, bandwidth=BANDWIDTHS[0])
    if arguments.truncated:
        with threadpool_limits(arguments.threads):
            _print_truncated(arguments.truncated, arguments.dimensions)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10_000, help="points")
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1, help="BLAS threads of both")
    parser.add_argument("--truncated", type=int, default=0, help="points of the truncated density; 0: none")
    return parser.parse_args()


def _clustered(size: int, dimensions: int, *, clusters: int = CLUSTERS) -> Floats:
    """Points around a few centres, standardised as embeddings are before a density is fitted."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(clusters, dimensions))
    points = centres[generator.integers(clusters, size=size)] + generator.normal(0, 0.5, (size, dimensions))
    standardised: Floats = (points - points.mean(axis=0)) / points.std(axis=0)
    return standardised


def _scikit_learn_search(points: Floats) -> GridSearchCV:
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    return GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=folds, refit=False).fit(points)


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def _print_errors(points: Floats, *, bandwidth: float) -> None:
    """Worst error in nats over a few points that neither density has seen, at the smallest bandwidth."""
    known, asked = points[CHECKED_POINTS:], points[:CHECKED_POINTS]
    exponents = -cdist(asked, known, "sqeuclidean") / (2 * bandwidth**2)
    constant = np.log(len(known)) + points.shape[1] * np.log(bandwidth * np.sqrt(2 * np.pi))
    exact = logsumexp(exponents, axis=1) - constant
    ours = np.abs(GaussianKDE(bandwidth).fit(known).score_samples(asked) - exact).max()
    theirs = np.abs(KernelDensity(bandwidth=bandwidth).fit(known).score_samples(asked) - exact).max()
    print(f"worst error at bandwidth {bandwidth}: leaktrace {ours:.1e} nats, scikit-learn {theirs:.1e} nats")


def _print_truncated(size: int, dimensions: int) -> None:
    """Seconds of scoring by both, and what the truncated density leaves out beside its own bound."""
    points = _clustered(size + CHECKED_POINTS, dimensions, clusters=TRUNCATED_CLUSTERS)
    known, asked = points[CHECKED_POINTS:], points[:CHECKED_POINTS]
    exact, fit_seconds = _timed(
        lambda: GaussianKDE(TRUNCATED_BANDWIDTH, chunk_bytes=TRUNCATED_CHUNK_BYTES).fit(known)
    )
    expected, exact_seconds = _timed(lambda: exact.score_samples(asked))
    truncated, truncated_fit = _timed(
        lambda: TruncatedKDE(
            TRUNCATED_BANDWIDTH, cells=TRUNCATED_CLUSTERS, chunk_bytes=TRUNCATED_CHUNK_BYTES
        ).fit(known)
    )
    (scores, bounds), seconds = _timed(lambda: truncated.bounded_scores(asked))
    print(f"{len(asked)} queries, {size} x {dimensions} in {TRUNCATED_CLUSTERS} groups: exact {exact_seconds:.2f} s "
          f"(fit {fit_seconds:.1f} s), truncated {seconds:.2f} s (fit {truncated_fit:.1f} s), ratio "
          f"{exact_seconds / seconds:.1f} x")  # fmt: skip
    print(f"left out at most {np.max(expected - scores):.1e} nats; stated bound {bounds.max():.1e}")


if __name__ == "__main__":
    main()
