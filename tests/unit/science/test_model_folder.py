"""A model folder says what it holds, is checked before use, and never passes through pickle."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from leaktrace.science.model import ModelConfig
from leaktrace.science.model_folder import (
    CARD,
    LATENT_ENCODER,
    PROTO_LEAKNET,
    Model,
    ModelUnusable,
    noise_key_of,
    read_model,
    resolve_folder,
    version_of,
    write_card,
    write_model,
)


@pytest.fixture
def folder(small_model: Model, tmp_path: Path) -> Path:
    write_model(tmp_path, small_model)
    return tmp_path


def test_model_survives_the_disk(folder: Path, small_model: Model) -> None:
    loaded, _ = read_model(folder)
    assert loaded.net.config == small_model.net.config
    assert loaded.latents == small_model.latents
    for name, value in small_model.net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[name], value), name


def test_loaded_encoder_answers_alike(folder: Path, small_model: Model) -> None:
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    loaded, _ = read_model(folder)
    with torch.no_grad():
        assert torch.equal(loaded.latent_encoder(images), small_model.latent_encoder(images))


def test_attention_is_on_disk(folder: Path) -> None:
    with safe_open(folder / PROTO_LEAKNET, framework="pt") as file:
        names = set(file.keys())
    assert {"encoder.attention.query.weight", "encoder.gate.0.weight", "head.prototypes"} <= names


@pytest.mark.parametrize("name", [LATENT_ENCODER, PROTO_LEAKNET])
def test_changed_weights_are_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(bytes(data))
    with pytest.raises(ModelUnusable, match="SHA-256"):
        read_model(folder)


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / PROTO_LEAKNET).unlink()
    with pytest.raises(ModelUnusable, match=f"{PROTO_LEAKNET} is missing"):
        read_model(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 999}', '{"format": 1}', '{"format": 1, "model": 3}']
)
def test_damaged_cards_are_refused(folder: Path, text: str) -> None:
    (folder / CARD).write_text(text, encoding="utf-8")
    with pytest.raises(ModelUnusable):
        read_model(folder)


def test_card_of_other_shape_is_refused(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    card["model"]["encoder"]["embedding_dim"] = 32
    write_card(folder, card)
    with pytest.raises(ModelUnusable, match="do not fit together"):
        read_model(folder)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="does not exist"):
        resolve_folder(tmp_path / "nowhere")


def test_version_follows_temperature(small_model: Model, tmp_path: Path) -> None:
    first = write_model(tmp_path / "a", small_model)
    second = write_model(tmp_path / "b", replace(small_model, temperature=2.0))
    assert version_of(first) != version_of(second)
    assert noise_key_of(first) == noise_key_of(second)


def test_version_ignores_metrics(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    assert version_of(card) == version_of(card | {"metrics": {"top1": 1.0}})


def test_version_is_short_and_named(folder: Path) -> None:
    name, digits = version_of(json.loads((folder / CARD).read_text(encoding="utf-8"))).rsplit("-", 1)
    assert name == "small"
    assert len(digits) == 12


@pytest.mark.parametrize("classes", [(), ("a",), ("b", "a"), ("a", "a")])
def test_bad_classes_are_refused(small_model: Model, classes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="2 different names"):
        ModelConfig(small_model.net.config.encoder, classes)
