"""False alarms where a class's images were saved in several ways, by the whole class and by strata.

`python -m benchmarks.strata` (about ten seconds on 2 cores). Embeddings have the shape of the starter model's known
generators; a quarter of each class's images is moved along the class's strongest direction, and a twentieth further. It
prints shares called unseen at alpha = 0.05: of known images in each stratum, and of generators that are not known.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.stream_world import Embeddings, Floats, Generator, make_world
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.stratified import Strata, all_unknown

ALPHA = 0.05
STRATA = ("usual", "shifted", "rare")
SHARES = (0.7, 0.25, 0.05)
SHIFTS = {"usual": 0.0, "shifted": 2.0, "rare": 4.0}  # standard deviations
KNOWN, FRESH, STRANGERS = 300, 600, 4
# Class means so many times as far apart as the starter's, as in the simulation of months.
SEPARATION = 3.0
CALIBRATION = (100, 400, 3_200)
SEEDS = (0, 1, 2)


def main() -> None:
    """Print a table, a row a way of calibrating and a number of calibration images a class."""
    print(f"{'images':>6} {'by':<6} " + " ".join(f"{name:>9}" for name in (*STRATA, "all", "strangers")))
    for images in CALIBRATION:
        found = np.mean([measure(images, np.random.default_rng(seed)) for seed in SEEDS], axis=0)  # (2, 5)
        for name, row in zip(("class", "strata"), found, strict=True):
            print(f"{images:>6} {name:<6} " + " ".join(f"{share:9.3f}" for share in row))


def measure(images: int, random: np.random.Generator) -> Floats:
    """Shares called unseen (2, 5), by the class and by strata: in each stratum, of all known images, of strangers."""
    world = make_world(random, days=1, new=STRANGERS, separation=SEPARATION)
    density = fitted(world.known, images, random)
    calibration = density.calibration_by_strata(ALPHA)
    known, known_strata = drawn(world.known, FRESH, random)
    unknown, strange_strata = drawn(world.new, FRESH, random)
    novelty, strangers = density.novelty(known), density.novelty(unknown)
    rows = []
    for by_strata in (False, True):
        told, of_strangers = (
            strata if by_strata else all_unknown(len(strata)) for strata in (known_strata, strange_strata)
        )
        said = np.max(calibration.p_values(novelty, told), axis=1) <= ALPHA
        strange = np.max(calibration.p_values(strangers, of_strangers), axis=1) <= ALPHA
        rows.append([*(said[known_strata == one].mean() for one in STRATA), said.mean(), strange.mean()])
    return np.array(rows)


def fitted(known: list[Generator], images: int, random: np.random.Generator) -> OpenSetDensity:
    """A density on `KNOWN` images a class, calibrated on so many."""
    embeddings, _ = drawn(known, KNOWN, random)
    held, strata = drawn(known, images, random)
    names = [one.name for one in known]
    return OpenSetDensity().fit(
        embeddings,
        np.repeat(names, KNOWN),
        calibration_embeddings=held,
        calibration_labels=np.repeat(names, images),
        calibration_gates=np.zeros_like(held),
        calibration_strata=strata,
    )


def drawn(generators: list[Generator], count: int, random: np.random.Generator) -> tuple[Embeddings, Strata]:
    """So many images of each generator, and the stratum of each."""
    strata: NDArray[np.str_] = random.choice(STRATA, size=count * len(generators), p=SHARES)
    plain = np.concatenate([one.draw(count, random) for one in generators])
    strongest = np.repeat([one.root[-1] for one in generators], count, axis=0)
    shifts = np.array([SHIFTS[stratum] for stratum in strata])
    return (plain + shifts[:, None] * strongest).astype(np.float32), strata


if __name__ == "__main__":
    main()
