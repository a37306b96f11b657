"""A class more without training: it is named, the others stay as they are, and the gates say when it must not be."""

import numpy as np
import pytest
from numpy.typing import NDArray

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.enrolment import Examples, SplitExamples, enrol, split
from leaktrace.science.gates import GateRules, Sample, compare, decisions, held_out_recall
from leaktrace.science.judging import Judge
from tests.synthetic import (
    ALPHA,
    CLASSES,
    SyntheticAttributor,
    embeddings_of,
    gates_like,
    make_density,
)


@pytest.fixture(scope="module")
def attributor() -> SyntheticAttributor:
    return SyntheticAttributor()


def examples(generator: str, *, seed: int = 1, count: int = 60) -> Examples:
    embeddings = embeddings_of(generator, seed, count=count)
    return Examples(embeddings, gates_like(embeddings))


def add(
    attributor: SyntheticAttributor, density: OpenSetDensity, *, name: str, parts: SplitExamples
) -> OpenSetDensity:
    before = judge(attributor, density)
    return enrol(before, attributor.model, name=name, examples=parts, rules=GateRules())


def enrolled(attributor: SyntheticAttributor, generator: str, *, called: str = "newcomer") -> OpenSetDensity:
    parts = split(examples(generator), alpha=ALPHA)
    return add(attributor, attributor.density, name=called, parts=parts)


def sample(*generators: str, seed: int = 5, count: int = 30) -> Sample:
    embeddings = np.concatenate([embeddings_of(name, seed, count=count) for name in generators])
    return Sample(embeddings, gates_like(embeddings), np.repeat(generators, count))


def judge(attributor: SyntheticAttributor, density: OpenSetDensity) -> Judge:
    return attributor.make_judge(density, version="test")


def p_values(density: OpenSetDensity, names: tuple[str, ...], at: NDArray[np.float32]) -> NDArray[np.float64]:
    columns = [list(density.classes_).index(name) for name in names]
    return density.p_values(at)[:, columns]


def test_enrolled_class_is_named(attributor: SyntheticAttributor) -> None:
    before = decisions(judge(attributor, attributor.density), sample("gamma"))
    after = decisions(judge(attributor, enrolled(attributor, "gamma")), sample("gamma"))
    assert set(before) == {"unseen"}
    assert (after == "newcomer").mean() >= 0.9


def test_known_p_values_stay_to_the_bit(attributor: SyntheticAttributor) -> None:
    probe = sample(*CLASSES, "gamma", "delta").embeddings
    after = p_values(enrolled(attributor, "gamma"), CLASSES, probe)
    assert np.array_equal(after, p_values(attributor.density, CLASSES, probe))


def test_artefact_holds_all_of_it(attributor: SyntheticAttributor) -> None:
    density = enrolled(attributor, "gamma")
    again = OpenSetDensity.from_bytes(density.to_bytes())
    probe = sample(*CLASSES, "gamma")
    first, second = judge(attributor, density), judge(attributor, again)
    assert again.to_bytes() == density.to_bytes()
    assert np.array_equal(density.p_values(probe.embeddings), again.p_values(probe.embeddings))
    assert (decisions(first, probe) == decisions(second, probe)).all()


def test_enrolled_class_keeps_strata(attributor: SyntheticAttributor) -> None:
    given = examples("gamma", count=240)
    strata = np.array(["small", "large"] * 120)
    given.gates[:, 0] = np.where(strata == "small", 0.25, 0.75)
    parts = split(Examples(given.embeddings, given.gates, strata), alpha=ALPHA)
    density = add(attributor, attributor.density, name="newcomer", parts=parts)
    kept = OpenSetDensity.from_bytes(density.to_bytes()).calibration_
    assert kept is not None
    index = list(density.classes_).index("newcomer")
    own = kept.labels == index
    novelty = density.novelty(kept.embeddings[own])[:, index]
    assert np.array_equal(novelty, density.calibration_scores_[index])
    assert np.array_equal(kept.strata[own], np.where(kept.gates[own, 0] == 0.25, "small", "large"))
    assert set(kept.strata[~own]) == {""}


def test_two_classes_may_follow(attributor: SyntheticAttributor) -> None:
    # 96 calibration images a class: with 24 the share that alpha costs alone would vary by 4 points.
    density = attributor.density
    for generator, name in (("gamma", "newcomer"), ("delta", "a-delta")):
        parts = split(examples(generator, count=240), alpha=ALPHA)
        density = add(attributor, density, name=name, parts=parts)
    assert tuple(density.classes_) == ("a-delta", "alpha", "beta", "newcomer", "real")
    found = decisions(judge(attributor, density), sample("gamma", "delta", count=100))
    recalls = {name: (found[i : i + 100] == name).mean() for i, name in ((0, "newcomer"), (100, "a-delta"))}
    assert min(recalls.values()) >= 0.9


def test_name_is_taken_once(attributor: SyntheticAttributor) -> None:
    with pytest.raises(ValueError, match="'alpha' is already one of the 3 classes"):
        enrolled(attributor, "gamma", called="alpha")


@pytest.mark.parametrize(("count", "alpha", "needed"), [(49, 0.05, 20), (120, 0.01, 99)])
def test_too_few_examples_are_refused(count: int, alpha: float, needed: int) -> None:
    with pytest.raises(ValueError, match=f"{count} examples are too few: 30 .* {needed}"):
        split(examples("gamma", count=count), alpha=alpha)


def test_split_shares_no_example() -> None:
    parts = split(examples("gamma"), alpha=ALPHA)
    rows = [{row.tobytes() for row in part.embeddings} for part in (parts.fit, parts.held_out)]
    assert (len(rows[0]), len(rows[1]), len(rows[0] & rows[1])) == (36, 24, 0)


def test_density_without_calibration_images_is_refused(attributor: SyntheticAttributor) -> None:
    bare = make_density(attributor.version)
    bare.calibration_ = None
    parts = split(examples("gamma"), alpha=ALPHA)
    with pytest.raises(ValueError, match="0 calibration images"):
        add(attributor, bare, name="newcomer", parts=parts)


def gates_of(attributor: SyntheticAttributor, challenger: OpenSetDensity) -> dict[str, bool]:
    gates = compare(
        judge(attributor, attributor.density),
        judge(attributor, challenger),
        reference=sample(*CLASSES),
        live=sample(*CLASSES, seed=6),
        golden=np.array(attributor.card["golden"]["embeddings"], dtype=np.float32),
        rules=GateRules(),
    )
    return {gate.name: gate.passed for gate in gates}


def test_good_newcomer_passes_all_gates(attributor: SyntheticAttributor) -> None:
    assert all(gates_of(attributor, enrolled(attributor, "gamma")).values())


def test_disguised_known_class_is_stopped(attributor: SyntheticAttributor) -> None:
    """Somebody enrols images of `alpha` under another name: alpha keeps its own, so the other one finds nothing."""
    parts = split(examples("alpha"), alpha=ALPHA)
    challenger = judge(attributor, add(attributor, attributor.density, name="not-alpha", parts=parts))
    held = Sample(parts.held_out.embeddings, parts.held_out.gates)
    recall = held_out_recall(challenger, held, name="not-alpha", rules=GateRules())
    calibration = attributor.density.calibration_
    assert calibration is not None
    before = decisions(
        judge(attributor, attributor.density), Sample(calibration.embeddings, calibration.gates)
    )
    after = decisions(challenger, Sample(calibration.embeddings, calibration.gates))
    named = np.isin(before, CLASSES)
    assert (recall.passed, recall.measured < 0.1) == (False, True)
    assert np.array_equal(after[named], before[named])


def test_held_out_recall_counts_leaving_out(attributor: SyntheticAttributor) -> None:
    parts = split(examples("gamma"), alpha=ALPHA)
    density = add(attributor, attributor.density, name="newcomer", parts=parts)
    held = Sample(parts.held_out.embeddings, parts.held_out.gates)
    gate = held_out_recall(judge(attributor, density), held, name="newcomer", rules=GateRules())
    # By leaving one out, 24 images have the p-values 1/24, 2/24, ..., and those up to alpha cannot be named.
    assert (gate.passed, gate.measured) == (True, pytest.approx(23 / 24))
