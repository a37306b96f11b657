"""An explanation's parts add up: features to the margin, distances to the scores."""

import pytest
import torch

from leaktrace.science.encoder import Embedded
from leaktrace.science.explanation import explain
from leaktrace.science.prototypes import PrototypeHead

CLASSES = ("alpha-1", "beta-2", "real")


@pytest.fixture
def head() -> PrototypeHead:
    torch.manual_seed(0)
    return PrototypeHead(3, prototypes=2, embedding_dim=6, spread=1.0)


@pytest.fixture
def embedded() -> Embedded:
    torch.manual_seed(1)
    return Embedded(torch.randn(4, 6), torch.rand(4, 6), torch.tensor([[0.2, 0.8]] * 4))


def test_contributions_add_to_margin(head: PrototypeHead, embedded: Embedded) -> None:
    for explanation in explain(embedded, head, classes=CLASSES, steps=(0, 100)):
        total = sum(feature.contribution for feature in explanation.features)
        assert total == pytest.approx(explanation.margin, abs=1e-4)


def test_margin_is_difference_of_distances(head: PrototypeHead, embedded: Embedded) -> None:
    scores = head(embedded.embedding, embedded.gate)
    for row, explanation in enumerate(explain(embedded, head, classes=CLASSES, steps=(0, 100))):
        nearest = {prototype.generator: prototype.distance for prototype in explanation.prototypes}
        first, second = (CLASSES[index] for index in scores[row].topk(2).indices)
        assert explanation.margin == pytest.approx(nearest[second] - nearest[first], abs=1e-4)


def test_distances_are_negative_scores(head: PrototypeHead, embedded: Embedded) -> None:
    scores = head(embedded.embedding, embedded.gate)
    first = explain(embedded, head, classes=CLASSES, steps=(0, 100))[0]
    assert list(first.distances.values()) == pytest.approx((-scores[0]).tolist(), abs=1e-5)


def test_prototypes_come_nearest_first(head: PrototypeHead, embedded: Embedded) -> None:
    for explanation in explain(embedded, head, classes=CLASSES, steps=(0, 100)):
        distances = [prototype.distance for prototype in explanation.prototypes]
        assert distances == sorted(distances)


def test_steps_carry_their_attention(head: PrototypeHead, embedded: Embedded) -> None:
    first = explain(embedded, head, classes=CLASSES, steps=(0, 100))[0]
    assert [(step.timestep, round(step.attention, 6)) for step in first.steps] == [(0, 0.2), (100, 0.8)]


def test_explanation_by_hand() -> None:
    # h = (0, 0), gate (1, 0.5); prototypes (1, 0) and (0, 3): distances 1 and 4.5, contributions -1 and 4.5.
    head = PrototypeHead(2, prototypes=1, embedding_dim=2, spread=1.0)
    with torch.no_grad():
        head.prototypes.copy_(torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]]]))
    embedded = Embedded(torch.zeros(1, 2), torch.tensor([[1.0, 0.5]]), torch.ones(1, 1))
    explanation = explain(embedded, head, classes=("a", "b"), steps=(0,))[0]
    assert {f.index: f.contribution for f in explanation.features} == {0: -1.0, 1: 4.5}
    assert explanation.margin == pytest.approx(3.5)
