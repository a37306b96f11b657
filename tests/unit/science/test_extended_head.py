"""The head with enrolled classes: what its scores and explanations are made of."""

import numpy as np
import pytest
import torch
from torch import Tensor

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.enrolment import Examples, enrol, split
from leaktrace.science.extended_head import ExtendedHead, discriminants_of
from leaktrace.science.gates import GateRules
from leaktrace.science.prototypes import PrototypeHead
from tests.synthetic import ALPHA, SyntheticAttributor, embeddings_of, gates_like


@pytest.fixture(scope="module")
def attributor() -> SyntheticAttributor:
    return SyntheticAttributor()


@pytest.fixture(scope="module")
def density(attributor: SyntheticAttributor) -> OpenSetDensity:
    embeddings = embeddings_of("gamma", 1, count=60)
    parts = split(Examples(embeddings, gates_like(embeddings)), alpha=ALPHA)
    judge = attributor.make_judge(attributor.density, version="before")
    return enrol(judge, attributor.model, name="newcomer", examples=parts, rules=GateRules())


def images(*generators: str) -> tuple[Tensor, Tensor]:
    embeddings = np.concatenate([embeddings_of(name, 7, count=10) for name in generators])
    return torch.from_numpy(embeddings), torch.from_numpy(gates_like(embeddings))


def test_trained_classes_score_as_before(attributor: SyntheticAttributor, density: OpenSetDensity) -> None:
    head = ExtendedHead(attributor.model.net.head, density)
    embedding, gate = images("alpha", "gamma")
    with torch.inference_mode():
        before, after = attributor.model.net.head(embedding, gate), head(embedding, gate)
    torch.testing.assert_close(after[:, head.trained], before)


def test_new_class_scores_by_prototypes_evidence_and_offset(
    attributor: SyntheticAttributor, density: OpenSetDensity
) -> None:
    enrolled = density.head_
    assert enrolled is not None
    head = ExtendedHead(attributor.model.net.head, density)
    embedding, gate = images("alpha", "gamma")
    evidence = discriminants_of(density, enrolled.names).evidence(embedding.double().numpy())[:, 0]
    with torch.inference_mode():
        near = PrototypeHead.forward(head, embedding, gate)[:, head.new[0]]
        found = head(embedding, gate)[:, head.new[0]]
    expected = near.numpy() + enrolled.slopes[0] * evidence + enrolled.offsets[0]
    assert enrolled.slopes[0] > 0
    assert found.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("swapped", [False, True])
def test_features_add_up_to_distances_and_evidence(
    attributor: SyntheticAttributor, density: OpenSetDensity, *, swapped: bool
) -> None:
    head = ExtendedHead(attributor.model.net.head, density)
    embedding, gate = images("alpha", "gamma")
    new, trained = (one.repeat(len(embedding)) for one in (head.new[:1], head.trained[:1]))
    first, second = (trained, new) if swapped else (new, trained)
    with torch.inference_mode():
        nearest = head.distances(embedding, gate).min(dim=-1)
        margins = head.contest(embedding, nearest.indices, first, second).margins(embedding, gate)
        rows = torch.arange(len(embedding))
        distances = nearest.values[rows, second] - nearest.values[rows, first]
        evidence = float(head.slopes[0]) * head.discriminants.evidence(embedding.double().numpy())[:, 0]
    expected = distances.numpy() + (-evidence if swapped else evidence)
    assert margins.sum(dim=1).numpy() == pytest.approx(expected, rel=1e-3, abs=1e-2)


def test_density_without_enrolled_classes_extends_nothing(attributor: SyntheticAttributor) -> None:
    with pytest.raises(ValueError, match="the density has 0"):
        ExtendedHead(attributor.model.net.head, attributor.density)
