"""Shuffled truths and random weights come out at chance; an evaluation that leaks the label does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from leaktrace.science.golden import golden_image
from leaktrace.science.model_folder import Model
from leaktrace.science.training.answers import Answers, Truths
from leaktrace.science.training.sanity import label_shuffle, random_weights, randomise, role_shuffle

CLASSES = ("a", "b", "c")


def perfect() -> Answers:
    generators = np.repeat(CLASSES, 20)
    truths = Truths(
        tuple(map(str, range(60))), generators, np.full(60, "", dtype=np.str_), np.full((60, 2), 512)
    )
    return Answers(truths, CLASSES, np.eye(3)[np.arange(60) // 20] * 0.9 + 0.05, np.arange(60.0))


def test_shuffled_labels_lose_everything() -> None:
    found = label_shuffle(perfect())
    assert found is not None
    assert found["macro_auc"]["at_chance"]
    assert found["top1"]["mean"] == pytest.approx(1 / 3, abs=0.03)


def test_shuffled_roles_lose_everything() -> None:
    found = role_shuffle(perfect())
    assert found is not None
    assert found["auroc"]["at_chance"]
    assert found["auroc"]["mean"] == pytest.approx(0.5, abs=0.03)


def test_random_weights_know_nothing(small_model: Model) -> None:
    images = [golden_image(index, small_model.preprocessing) for index in range(12)]
    found = random_weights(small_model, images, np.arange(12) % 3, noise_key="k")
    assert found is not None
    assert found["macro_auc"]["at_chance"]
    assert found["top1"]["at_chance"]


def test_model_survives_its_random_twin(small_model: Model) -> None:
    before = {name: value.clone() for name, value in small_model.net.state_dict().items()}
    images = [golden_image(index, small_model.preprocessing) for index in range(4)]
    random_weights(small_model, images, np.arange(4) % 2, noise_key="k")
    assert all((before[name] == value).all() for name, value in small_model.net.state_dict().items())


def test_randomise_changes_every_weight(small_model: Model) -> None:
    net = replace(small_model).net
    before = {name: value.clone() for name, value in net.named_parameters() if value.numel() > 1}
    torch.manual_seed(1)
    randomise(net)
    constant = {name for name, value in before.items() if value.unique().numel() == 1}
    same = {
        name for name, value in net.named_parameters() if name in before and (before[name] == value).all()
    }
    assert same <= constant
