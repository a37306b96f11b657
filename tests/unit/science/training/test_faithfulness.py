"""What an explanation names is removed exactly, and set against removals of the same size."""

import numpy as np
import pytest
import torch

from leaktrace.science.attributor import Attributor
from leaktrace.science.encoder import Embedded
from leaktrace.science.golden import golden_image
from leaktrace.science.inference import InferencePass
from leaktrace.science.preprocessing import PreparedImage
from leaktrace.science.prototypes import PrototypeHead
from leaktrace.science.training.faithfulness import (
    _paired,
    _without_features,
    _without_prototypes,
    faithfulness,
)


@pytest.fixture
def images(attributor: Attributor) -> list[PreparedImage]:
    return [golden_image(index, attributor.model.preprocessing) for index in range(4)]


def test_parts_carry_intervals(attributor: Attributor, images: list[PreparedImage]) -> None:
    found = faithfulness(images, attributor.inference)
    assert found["images"] == 4
    for part in ("step", "features", "prototype"):
        assert found[part]["difference"]["low"] <= found[part]["difference"]["high"]
        assert found[part]["difference"]["value"] == pytest.approx(
            found[part]["named"]["value"] - found[part]["random"]["value"]
        )


def test_named_features_are_those_removed(attributor: Attributor) -> None:
    # The winner's prototypes are the image itself; the others' are 3 away in 8 features and 1 away in 8 more.
    inference: InferencePass = attributor.inference
    prototypes = inference.net.head.prototypes.data
    size = prototypes.shape[-1]
    prototypes[:] = torch.tensor([3.0] * 8 + [1.0] * 8 + [0.0] * (size - 16))
    prototypes[0] = 0.0
    embedded = Embedded(torch.zeros(1, size), torch.ones(1, size), torch.ones(1, 3) / 3)
    named, others = _without_features(embedded, inference, torch.tensor([[0, 1]]), seed=0)
    assert named.tolist() == [[pytest.approx(8.0)]]
    assert (others >= 72.0 - 1e-3).all()


def test_step_left_out_has_no_attention(attributor: Attributor, images: list[PreparedImage]) -> None:
    without = attributor.inference.embed_without_steps(images[0])
    assert without.attention.diagonal().tolist() == [0.0] * len(attributor.model.schedule.steps)
    torch.testing.assert_close(without.attention.sum(1), torch.ones(len(without.attention)))


def test_leaving_no_step_out_changes_nothing(
    attributor: Attributor, images: list[PreparedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all attention lies on one step already, the embedding without another step stays as it was."""
    inference: InferencePass = attributor.inference

    def only_first(features: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(
            torch.zeros(len(features), dtype=torch.long), features.shape[1]
        ).float()

    monkeypatch.setattr(inference.net.encoder.attention, "forward", only_first)
    whole = inference.embed(images[:1]).embedding[0]
    without = inference.embed_without_steps(images[0]).embedding
    torch.testing.assert_close(without[1], whole)


def test_nearest_prototype_is_the_one_removed() -> None:
    head = PrototypeHead(2, prototypes=2, embedding_dim=1, spread=1.0)
    head.prototypes.data = torch.tensor([[[0.0], [3.0]], [[5.0], [6.0]]])
    embedded = Embedded(torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1, 1))
    named, others = _without_prototypes(embedded, head, torch.tensor([[0, 1]]))
    runner_up = head.scores(head.distances(embedded.embedding, embedded.gate))[0, 1]
    assert named.item() == pytest.approx(-9.0 - runner_up.item())
    assert others.item() == pytest.approx(0.0 - runner_up.item())


def test_means_are_paired_by_image() -> None:
    found = _paired(np.array([3.0, 1.0]), np.array([1.0, 2.0]))
    assert found["difference"]["value"] == pytest.approx(0.5)
    assert found["named_changes_more"] == 0.5
