"""An explanation's parts add up: features to the margin, distances to the scores."""

import pytest
import torch

from leaktrace.science.encoder import Embedded
from leaktrace.science.explanation import Crops, explain
from leaktrace.science.preprocessing import Box
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


def crops_of(embedding: torch.Tensor, gate: torch.Tensor) -> Crops:
    """Two crops an image, side by side."""
    images = len(embedding) // 2
    pairs = [
        Embedded(embedding[row : row + 2], gate[row : row + 2], torch.ones(2, 2) / 2)
        for row in range(0, 2 * images, 2)
    ]
    return Crops(pairs, [(Box(0, 0, 64, 64), Box(64, 0, 64, 64))] * images)


def test_equal_crops_have_images_margin(head: PrototypeHead, embedded: Embedded) -> None:
    twice = crops_of(embedded.embedding.repeat_interleave(2, 0), embedded.gate.repeat_interleave(2, 0))
    for explanation in explain(embedded, head, classes=CLASSES, steps=(0, 100), crops=twice):
        assert [crop.margin for crop in explanation.crops] == pytest.approx(
            [explanation.margin] * 2, abs=1e-4
        )


def test_crop_margins_by_hand() -> None:
    # Prototypes (1, 0) and (0, 3), gate (1, 0.5), image at (0, 0): alpha wins. A crop at (1, 0) is 0 + 0 from alpha and
    # 1 + 4.5 from real; a crop at (0, 3) is 1 + 4.5 from alpha and 0 from real.
    head = PrototypeHead(2, prototypes=1, embedding_dim=2, spread=1.0)
    with torch.no_grad():
        head.prototypes.copy_(torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]]]))
    gate = torch.tensor([[1.0, 0.5]])
    whole = Embedded(torch.zeros(1, 2), gate, torch.ones(1, 1))
    crops = crops_of(torch.tensor([[1.0, 0.0], [0.0, 3.0]]), gate.repeat(2, 1))
    (explanation,) = explain(whole, head, classes=("alpha-1", "real"), steps=(0,), crops=crops)
    assert [crop.margin for crop in explanation.crops] == pytest.approx([5.5, -5.5])
    assert [(crop.left, crop.width) for crop in explanation.crops] == [(0, 64), (64, 64)]


def test_crops_leave_the_rest_alone(head: PrototypeHead, embedded: Embedded) -> None:
    crops = crops_of(torch.randn(8, 6), torch.rand(8, 6))
    plain = explain(embedded, head, classes=CLASSES, steps=(0, 100))
    told = explain(embedded, head, classes=CLASSES, steps=(0, 100), crops=crops)
    assert [one.to_dict() | {"crops": ()} for one in told] == [one.to_dict() for one in plain]


def test_other_images_crops_are_refused(head: PrototypeHead, embedded: Embedded) -> None:
    crops = crops_of(torch.randn(6, 6), torch.rand(6, 6))
    with pytest.raises(ValueError, match="the crops of 3 images were given for 4 images"):
        explain(embedded, head, classes=CLASSES, steps=(0, 100), crops=crops)
