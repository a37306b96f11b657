"""The model that ships: small enough, cheap enough, whole, and saying what it is."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from leaktrace.science.attributor import Attributor
from leaktrace.science.golden import golden_image
from leaktrace.science.model_folder import CARD, DENSITY, resolve_folder

MEGABYTES = 12
BUDGET_GFLOP = 6.0


@pytest.fixture(scope="module")
def starter() -> Attributor:
    return Attributor.load("starter", device="cpu")


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    return dict(json.loads((resolve_folder("starter") / CARD).read_text(encoding="utf-8")))


def test_starter_passes_its_self_test(starter: Attributor) -> None:
    starter.self_test()
    assert starter.version.startswith("starter-")


def test_starter_fits_in_the_wheel() -> None:
    folder: Path = resolve_folder("starter")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MEGABYTES * 1_000_000


def test_latent_encoder_costs_under_budget(starter: Attributor) -> None:
    encoder = starter.model.latent_encoder
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder.encode(torch.zeros(1, 3, 256, 256))
    assert counter.get_total_flops() / 1e9 <= BUDGET_GFLOP


def test_starter_knows_nine_classes(starter: Attributor) -> None:
    assert len(starter.classes) == 9
    assert "real" in starter.classes


def test_starter_attributes_a_batch(starter: Attributor) -> None:
    images = [golden_image(index, starter.model.preprocessing) for index in (0, 1, 0)]
    first, _, again = starter.attribute(images)
    assert first.to_dict() == again.to_dict()
    assert sum(first.probabilities.values()) == pytest.approx(1)


def test_card_reports_both_sets(card: dict[str, Any]) -> None:
    neutral = card["metrics"]["neutral"]
    assert 0.5 < neutral["closed_set"]["macro_auc"]["value"] <= 1
    assert {"tier near", "tier medium", "tier far"} <= set(neutral["open_set"])
    assert neutral["left_out_because_they_made_the_model"] == 0


def test_card_admits_the_smallest_p(card: dict[str, Any]) -> None:
    assert max(card["density"]["smallest_p"].values()) <= card["verdict"]["alpha"]
    assert any("0.01" in limit for limit in card["limits"])


def test_density_keeps_its_bytes(starter: Attributor) -> None:
    # Workers compare what they hold with what was published by its hash.
    assert starter.density.to_bytes() == (resolve_folder("starter") / DENSITY).read_bytes()
