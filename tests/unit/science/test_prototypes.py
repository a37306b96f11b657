"""The prototype head against a hand-worked case and a slow loop."""

import math

import pytest
import torch

from leaktrace.science.prototypes import PrototypeHead


def head_of(prototypes: list[list[list[float]]], log_temperature: float = 0.0) -> PrototypeHead:
    values = torch.tensor(prototypes)
    head = PrototypeHead(
        values.shape[0], prototypes=values.shape[1], embedding_dim=values.shape[2], spread=1.0
    )
    with torch.no_grad():
        head.prototypes.copy_(values)
        head.log_temperature.fill_(log_temperature)
    return head


def test_distance_by_hand() -> None:
    # h = (1, 2), w = (0.5, 0.25), p = (3, 0): 0.5 * 4 + 0.25 * 4 = 3.
    head = head_of([[[3.0, 0.0]]])
    assert head.distances(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.25]])).item() == pytest.approx(
        3.0
    )


def test_scores_match_loop() -> None:
    torch.manual_seed(1)
    head = PrototypeHead(3, prototypes=4, embedding_dim=5, spread=1.0)
    embedding, gate = torch.randn(2, 5), torch.rand(2, 5)
    scores, prototypes = head(embedding, gate).detach(), head.prototypes.detach()
    for image in range(2):
        for c in range(3):
            total = 0.0
            for m in range(4):
                difference = embedding[image] - prototypes[c, m]
                total += math.exp(-float((gate[image] * difference**2).sum()))
            assert float(scores[image, c]) == pytest.approx(math.log(total), abs=1e-4)


def test_nearest_prototype_dominates() -> None:
    head = head_of([[[0.0], [100.0]], [[1.0], [1.0]]], log_temperature=math.log(5.0))
    scores = head(torch.tensor([[0.0]]), torch.ones(1, 1))
    assert scores[0, 0] > scores[0, 1]


@pytest.mark.parametrize(("stored", "used"), [(-9.0, 0.5), (9.0, 5.0), (0.0, 1.0)])
def test_temperature_is_clamped(stored: float, used: float) -> None:
    temperature = head_of([[[0.0]]], log_temperature=stored).temperature
    assert temperature.item() == pytest.approx(used)


def test_prototypes_and_temperature_learn() -> None:
    head = PrototypeHead(2, prototypes=3, embedding_dim=4, spread=1.0)
    head(torch.randn(5, 4), torch.rand(5, 4))[:, 0].sum().backward()
    assert head.prototypes.grad is not None
    assert head.prototypes.grad.abs().sum() > 0
    assert head.log_temperature.grad is not None


def test_wrong_width_is_named() -> None:
    with pytest.raises(ValueError, match="must both end in 1"):
        head_of([[[0.0]]]).distances(torch.zeros(1, 2), torch.zeros(1, 2))
