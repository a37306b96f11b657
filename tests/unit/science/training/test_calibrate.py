"""The temperature makes probabilities honest and leaves every order as it was; the folder is complete."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from leaktrace.science.density import OpenSetDensity
from leaktrace.science.model_folder import CARD, DENSITY, LATENT_ENCODER, PROTO_LEAKNET
from leaktrace.science.training.calibrate import fit_temperature


def test_temperature_undoes_overconfidence() -> None:
    # Labels drawn from softmax(scores); scores five times too large must be divided by five again.
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn((4000, 3), generator=generator)
    labels = torch.multinomial(scores.softmax(1), 1, generator=generator).squeeze(1)
    assert fit_temperature(scores * 5, labels.tolist()) == pytest.approx(5, rel=0.1)


def test_folder_holds_four_files(small_folder: Path) -> None:
    names = {path.name for path in small_folder.iterdir() if path.is_file()}
    assert names == {CARD, DENSITY, LATENT_ENCODER, PROTO_LEAKNET}


def test_card_says_what_was_used(small_folder: Path) -> None:
    card = json.loads((small_folder / CARD).read_text(encoding="utf-8"))
    assert card["data"]["train_images"] == 24
    assert card["density"]["calibration_images"] == {"alpha-1": 4, "beta-2": 4, "real": 4}
    assert card["density"]["smallest_p"]["real"] == pytest.approx(1 / 5)
    assert len(card["data"]["used_files"]) == 36
    assert {"torch", "python", "diffusers"} <= set(card["versions"])


def test_card_names_no_machine(small_folder: Path, pictures: Path) -> None:
    text = (small_folder / CARD).read_text(encoding="utf-8")
    assert str(pictures) not in text
    assert str(small_folder) not in text


def test_weights_are_float32(small_folder: Path) -> None:
    with safe_open(small_folder / PROTO_LEAKNET, framework="pt") as file:
        kinds = {file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    assert torch.float32 in kinds
    assert torch.bfloat16 not in kinds


def test_density_knows_strata_of_its_calibration(small_folder: Path) -> None:
    kept = OpenSetDensity.from_bytes((small_folder / DENSITY).read_bytes()).calibration_
    assert kept is not None
    assert set(kept.strata) == {"not-jpeg/under-512px"}
