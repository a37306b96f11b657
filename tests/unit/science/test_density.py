"""Conformal p-values keep their promise, ties and order are right, and a density file is checked when read."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import NotFittedError

import leaktrace
from leaktrace.science.density import DensityUnusable, OpenSetDensity
from leaktrace.science.density_file import pack
from leaktrace.science.estimators import ESTIMATORS
from leaktrace.science.kde import GaussianKDE
from leaktrace.science.refitting import refit_known

STARTER = Path(leaktrace.__file__).parent / "weights/starter/density.safetensors"
DIMENSIONS = 6
CENTRES = {"alpha-1": 0.0, "beta-2": 3.0, "real": -3.0}


def drawn(
    per_class: int, seed: int, *, names: tuple[str, ...] = tuple(CENTRES)
) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    rows = [generator.normal(CENTRES[name], 1, (per_class, DIMENSIONS)) for name in names]
    return np.concatenate(rows).astype(np.float32), np.repeat(names, per_class)


def fitted(known: int = 40, calibration: int = 60, seed: int = 0, *, whiten: bool = True) -> OpenSetDensity:
    embeddings, labels = drawn(known, seed)
    others, other_labels = drawn(calibration, seed + 1)
    density = OpenSetDensity(model_version="starter-0123456789ab", whiten=whiten)
    return density.fit(embeddings, labels, calibration_embeddings=others, calibration_labels=other_labels)


def test_false_alarms_stay_at_alpha() -> None:
    # 400 calibration sets of 39 images and one new image each: P(p <= alpha) is exactly 0.05 for continuous scores.
    alpha, calibration, rounds = 0.05, 39, 400
    known, labels = drawn(60, 1)
    density = fitted(60, calibration, seed=1)
    alarms = 0
    for seed in range(rounds):
        fresh, _ = drawn(calibration + 1, 100 + seed, names=("beta-2",))
        density.fit(
            known, labels,
            calibration_embeddings=np.concatenate([fresh[1:], *other_calibration(seed)]),
            calibration_labels=["beta-2"] * calibration + ["alpha-1", "real"],
        )  # fmt: skip
        alarms += density.p_values(fresh[:1])[0, 1] <= alpha
    standard_error = (alpha * (1 - alpha) / rounds) ** 0.5
    assert abs(alarms / rounds - alpha) <= 3 * standard_error


def other_calibration(seed: int) -> list[np.ndarray]:
    return [drawn(1, 10_000 + seed, names=(name,))[0] for name in ("alpha-1", "real")]


def test_p_values_by_hand() -> None:
    density = fitted()
    scores = density.calibration_scores_[0]
    queries = drawn(5, 9)[0]
    novelty = density.novelty(queries)[:, 0]
    by_hand = [(1 + sum(score >= one for score in scores)) / (len(scores) + 1) for one in novelty]
    assert np.allclose(density.p_values(queries)[:, 0], by_hand, rtol=0, atol=1e-15)


@pytest.mark.parametrize("whiten", [False, True])
def test_novelty_is_minus_log_density(whiten: bool) -> None:
    density, (known, labels) = fitted(whiten=whiten), drawn(40, 0)
    scaled = (known.astype(float) - known.mean(axis=0, dtype=float)) / known.std(axis=0, dtype=float)
    if whiten:
        within = np.concatenate(
            [scaled[labels == name] - scaled[labels == name].mean(axis=0) for name in CENTRES]
        )
        # Any square root of the precision gives the same distances.
        scaled = scaled @ np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(within).precision_)
    plain = GaussianKDE(density.bandwidths_[2]).fit(scaled[labels == "real"])
    assert np.allclose(density.novelty(known)[:, 2], -plain.score_samples(scaled), rtol=0, atol=1e-6)


@pytest.mark.parametrize("whiten", [False, True])
def test_whitening_sees_thin_directions(whiten: bool) -> None:
    # Two dimensions that nearly agree within a class: a point where they disagree is ordinary in each of them alone.
    generator = np.random.default_rng(0)
    common = generator.normal(0, 1, (200, 1))
    rows = np.hstack([common, common]) + generator.normal(0, 0.03, (200, 2))
    density = OpenSetDensity(whiten=whiten).fit(
        rows[:100], ["one"] * 100, calibration_embeddings=rows[100:], calibration_labels=["one"] * 100
    )
    assert (density.p_values([[0.25, -0.25]])[0, 0] == density.smallest_p_[0]) == whiten


def test_ties_count_as_novel() -> None:
    # A calibration image asked again ties with itself, so its p-value is never the smallest possible.
    density = fitted()
    most_novel = drawn(60, 1)[0][:60][np.argmax(density.novelty(drawn(60, 1)[0][:60])[:, 0])]
    assert density.p_values(most_novel[None])[0, 0] == 2 / 61


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_more_novel_never_likelier(seed: int) -> None:
    density = fitted()
    queries = np.random.default_rng(seed).normal(0, 4, (20, DIMENSIONS))
    order = np.argsort(density.novelty(queries)[:, 1])
    assert (np.diff(density.p_values(queries)[order, 1]) <= 0).all()


def test_far_images_reach_floor() -> None:
    density = fitted()
    far = density.p_values(np.full((1, DIMENSIONS), 50))
    assert np.array_equal(far[0], density.smallest_p_)


def test_own_class_fits_best() -> None:
    queries, labels = drawn(30, 5)
    density = fitted()
    nearest = density.classes_[np.argmin(density.novelty(queries), axis=1)]
    assert (nearest == labels).mean() > 0.95


def test_batch_size_changes_nothing() -> None:
    density, queries = fitted(), drawn(20, 5)[0]
    alone = np.concatenate([density.p_values(query[None]) for query in queries])
    assert np.array_equal(density.p_values(queries), alone)


def test_constant_dimensions_are_harmless() -> None:
    known, labels = drawn(40, 0)
    others, other_labels = drawn(60, 1)
    flat = OpenSetDensity().fit(
        np.pad(known, ((0, 0), (0, 2))), labels,
        calibration_embeddings=np.pad(others, ((0, 0), (0, 2))), calibration_labels=other_labels,
    )  # fmt: skip
    assert np.array_equal(flat.p_values(np.pad(others, ((0, 0), (0, 2)))), fitted().p_values(others))


def test_attainable_alphas_are_told() -> None:
    density = fitted(calibration=60)
    assert density.attainable(0.05).all()
    assert not density.attainable(0.01).any()


@pytest.mark.parametrize("shared", [1, 3])
def test_shared_embeddings_are_refused(shared: int) -> None:
    known, labels = drawn(40, 0)
    others, other_labels = drawn(60, 1)
    others[:shared] = known[:shared]
    with pytest.raises(ValueError, match=f"{shared} of 180 calibration"):
        OpenSetDensity().fit(known, labels, calibration_embeddings=others, calibration_labels=other_labels)


def test_uncalibrated_class_is_refused() -> None:
    known, labels = drawn(40, 0)
    others, other_labels = drawn(60, 1, names=("alpha-1", "beta-2"))
    with pytest.raises(ValueError, match="'real'"):
        OpenSetDensity().fit(known, labels, calibration_embeddings=others, calibration_labels=other_labels)


def test_infinite_embeddings_are_refused() -> None:
    density, queries = fitted(), drawn(1, 3)[0]
    queries[1, 2] = np.inf
    with pytest.raises(ValueError, match="1 of 3"):
        density.p_values(queries)


def test_other_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="5 dimensions; 6"):
        fitted().p_values(np.zeros((1, 5)))


def test_unfitted_use_is_named() -> None:
    with pytest.raises(NotFittedError):
        OpenSetDensity().p_values(np.zeros((1, 2)))


def test_clone_keeps_parameters() -> None:
    assert clone(fitted()).model_version == "starter-0123456789ab"


def test_file_gives_same_answers() -> None:
    density, queries = fitted(), drawn(20, 5)[0]
    read = OpenSetDensity.from_bytes(density.to_bytes())
    assert read.model_version == density.model_version
    assert np.array_equal(read.novelty(queries), density.novelty(queries))
    assert np.array_equal(read.p_values(queries), density.p_values(queries))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_file_keeps_each_estimator(estimator: str) -> None:
    known, labels = drawn(40, 0)
    others, other_labels = drawn(60, 1)
    density = OpenSetDensity(estimator=estimator).fit(
        known, labels, calibration_embeddings=others, calibration_labels=other_labels
    )
    read = OpenSetDensity.from_bytes(density.to_bytes())
    assert read.estimator == estimator
    assert np.array_equal(read.p_values(drawn(20, 5)[0]), density.p_values(drawn(20, 5)[0]))


def test_unknown_estimator_is_named() -> None:
    known, labels = drawn(40, 0)
    with pytest.raises(ValueError, match="'forest'; it must be one of kde"):
        OpenSetDensity(estimator="forest").fit(
            known, labels, calibration_embeddings=known + 1, calibration_labels=labels
        )


def test_file_is_reproducible() -> None:
    data = fitted().to_bytes()
    assert OpenSetDensity.from_bytes(data).to_bytes() == data


def broken(name: str) -> bytes:
    """A density file with one thing wrong."""
    data = with_strata().to_bytes() if "strata" in name else fitted().to_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    card, arrays = json.loads(header["__metadata__"]["density"]), load(data)
    arrays = {key: value.copy() for key, value in arrays.items()}
    if name == "cut":
        return data[:-10]
    if name == "not finite":
        arrays["embeddings"][0, 0] = np.nan
    if name == "unsorted":
        arrays["calibration_scores"][0] = 1e9
    if name == "label":
        arrays["labels"][:] = 0
    if name == "shape":
        arrays["labels"] = arrays["labels"][:-1]
    if name == "dtype":
        arrays["bandwidths"] = arrays["bandwidths"].astype(np.float32)
    if name == "bandwidth":
        arrays["bandwidths"][0] += 1
    if name == "missing":
        del arrays["labels"]
    if name == "classes":
        card["classes"] = card["classes"][::-1]
    if name == "counts":
        card["calibration_counts"][0] += 1
    if name == "estimator":
        card["estimator"] = "something else"
    if name == "format":
        card["format"] = "something else"
    if name == "strata":
        arrays["calibration_strata"][0] = 3
    if name == "nameless strata":
        del card["strata"]
    return save(arrays, metadata={"density": json.dumps(card)})


@pytest.mark.parametrize(
    "name",
    [
        "cut",
        "not finite",
        "unsorted",
        "label",
        "shape",
        "dtype",
        "bandwidth",
        "missing",
        "classes",
        "counts",
        "estimator",
        "format",
        "strata",
        "nameless strata",
    ],
)
def test_damaged_file_is_refused(name: str) -> None:
    with pytest.raises(DensityUnusable):
        OpenSetDensity.from_bytes(broken(name))


@given(data=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DensityUnusable):
        OpenSetDensity.from_bytes(data)


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_changed_header_is_answered(place: float, value: int) -> None:
    data = bytearray(FILE)
    data[int(place * (8 + int.from_bytes(FILE[:8], "little")))] = value
    try:
        read = OpenSetDensity.from_bytes(bytes(data))
    except DensityUnusable:
        return
    assert np.array_equal(read.embeddings_, fitted().embeddings_)


def test_file_says_what_it_was_made_of() -> None:
    facts = {"code_version": "1.2", "data": {"manifest_sha256": "0" * 64}}
    file = pack(replace(fitted().parts(), facts=facts))
    read = OpenSetDensity.from_bytes(file)
    assert (read.facts_, read.to_bytes() == file) == (facts, True)


FILE = fitted().to_bytes()


def test_calibration_images_survive_storage() -> None:
    draw = np.random.default_rng(0)
    labels = np.array(["b", "a"] * 20)
    known, calibration, gates = draw.normal(size=(3, 40, 4)).astype(np.float32)
    density = OpenSetDensity(model_version="m").fit(
        known,
        labels,
        calibration_embeddings=calibration,
        calibration_labels=labels,
        calibration_gates=gates,
    )
    kept = OpenSetDensity.from_bytes(density.to_bytes()).calibration_
    assert kept is not None
    order = [np.flatnonzero((calibration == row).all(axis=1))[0] for row in kept.embeddings]
    assert sorted(order) == list(range(40))
    assert np.array_equal(kept.gates, gates[order])
    assert labels[order].tolist() == ["a"] * 20 + ["b"] * 20
    assert kept.labels.tolist() == [0] * 20 + [1] * 20


def with_strata() -> OpenSetDensity:
    """120 calibration images a class of the stratum "one", whose second feature says so, and 100 of others."""
    known, labels = drawn(40, 0)
    others, other_labels = drawn(220, 1)
    strata = np.tile(["one"] * 120 + ["two"] * 60 + ["three"] * 40, 3)
    others[strata == "one", 1] = 1.0
    return OpenSetDensity(model_version="m").fit(
        known,
        labels,
        calibration_embeddings=others,
        calibration_labels=other_labels,
        calibration_gates=np.ones_like(others),
        calibration_strata=strata,
    )


def check_strata(density: OpenSetDensity) -> None:
    """Each calibration image stands where its score does, with its stratum."""
    kept = density.calibration_
    assert kept is not None
    own = np.take_along_axis(density.novelty(kept.embeddings), kept.labels[:, None], axis=1)[:, 0]
    assert np.array_equal(own, np.concatenate(density.calibration_scores_))
    assert np.array_equal(kept.strata == "one", kept.embeddings[:, 1] == 1.0)


def test_strata_stand_beside_their_scores() -> None:
    check_strata(with_strata())


def test_strata_survive_storage() -> None:
    density, queries = with_strata(), drawn(20, 5)[0]
    read = OpenSetDensity.from_bytes(density.to_bytes())
    check_strata(read)
    assert read.to_bytes() == density.to_bytes()
    strata = np.array(["one", "two", "", "four"] * 15)
    before, after = (
        one.calibration_by_strata(0.05).p_values(density.novelty(queries), strata) for one in (density, read)
    )
    assert np.array_equal(before, after)
    assert not np.array_equal(before, density.p_values(queries))


def test_refit_keeps_strata() -> None:
    newcomers, names = drawn(3, 9)
    check_strata(refit_known(with_strata(), newcomers, names))


def test_file_without_strata_is_judged_as_before() -> None:
    file = STARTER.read_bytes()
    density = OpenSetDensity.from_bytes(file)
    queries, strata = density.embeddings_[:40] + 0.01, np.array(["not-jpeg/512-1023px", ""] * 20)
    by_strata = density.calibration_by_strata(0.05)
    assert density.to_bytes() == file
    assert np.array_equal(by_strata.p_values(density.novelty(queries), strata), density.p_values(queries))
    assert np.array_equal(by_strata.smallest_p(strata), np.tile(density.smallest_p_, (40, 1)))


@pytest.mark.parametrize(("gates", "strata"), [(False, 180), (True, 179)])
def test_strata_without_their_images_are_refused(gates: bool, strata: int) -> None:
    known, labels = drawn(40, 0)
    others, other_labels = drawn(60, 1)
    with pytest.raises(ValueError, match=r"180 calibration"):
        OpenSetDensity().fit(
            known, labels, calibration_embeddings=others, calibration_labels=other_labels,
            calibration_gates=others if gates else None, calibration_strata=["one"] * strata,
        )  # fmt: skip
