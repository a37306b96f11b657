"""The file of a density: it answers as before, is the same for the same parts, and is refused when it is damaged."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

import leaktrace
from leaktrace.science.density import DensityUnusable, OpenSetDensity
from leaktrace.science.density_file import pack
from leaktrace.science.estimators import ESTIMATORS
from leaktrace.science.refitting import refit_known
from tests.densities import drawn, fitted

STARTER = Path(leaktrace.__file__).parent / "weights/starter/density.safetensors"


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
