"""A model on disk: card.json and safetensors, checked before they are used. Nothing passes through pickle.

The version is a hash over the card's `model` section, which names the weights by their own hashes. Metrics, golden
vectors and the density stand outside that section, because they are made with the version in hand. Knows nothing of
images or verdicts.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from leaktrace.errors import LeaktraceError, Unavailable
from leaktrace.science.distilled import (
    LatentsConfig,
    PictureConfig,
    TraceConfig,
    TwoStreamEncoder,
    build_latent_encoder,
)
from leaktrace.science.encoder import EncoderConfig
from leaktrace.science.model import ModelConfig, ProtoLeakNet
from leaktrace.science.preprocessing import Preprocessing
from leaktrace.science.renoising import Schedule

CARD = "card.json"
LATENT_ENCODER = "latent_encoder.safetensors"
PROTO_LEAKNET = "proto_leaknet.safetensors"
DENSITY = "density.safetensors"
FORMAT = 1
VERSION_DIGITS = 12


class ModelUnusable(Unavailable):
    """A model folder is missing, damaged, of another format, or does not reproduce its golden answers."""

    code = "model_unusable"

    def __init__(self, folder: str | Path, reason: str) -> None:
        self.folder, self.reason = str(folder), reason
        super().__init__(f"the model at {folder} cannot be used: {reason}")


@dataclass(frozen=True)
class Model:
    """A model in memory: what its card says, its two networks, and how calibrated scores are reached."""

    name: str
    preprocessing: Preprocessing
    schedule: Schedule
    latents: LatentsConfig
    latent_encoder: TwoStreamEncoder
    net: ProtoLeakNet
    temperature: float = 1.0

    @property
    def classes(self) -> tuple[str, ...]:
        """The generators' names in the order of the scores."""
        return self.net.config.classes


def resolve_folder(model: str | Path) -> Path:
    """A shipped model's folder by its name, or the path itself. Raises ModelUnusable when there is no card."""
    shipped = Path(str(files("leaktrace"))) / "weights" / str(model)
    folder = shipped if (shipped / CARD).is_file() else Path(model)
    if not (folder / CARD).is_file():
        raise ModelUnusable(model, f"{folder / CARD} does not exist; give a model's folder or a shipped name")
    return folder


def write_model(folder: Path, model: Model) -> dict[str, Any]:
    """Save both networks and a card with the `model` section; returns the card, for what is known later."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_tensors(folder / LATENT_ENCODER, _own_state(model.latent_encoder))
    _write_tensors(folder / PROTO_LEAKNET, model.net.state_dict())
    section = {
        "classes": list(model.classes),
        "preprocessing": asdict(model.preprocessing),
        "schedule": {"kind": "scaled_linear", **asdict(model.schedule)},
        "latents": asdict(model.latents),
        "encoder": asdict(model.net.config.encoder),
        "prototypes": model.net.config.prototypes,
        "coordinates": model.net.config.coordinates,
        "components": model.net.config.components,
        "temperature": model.temperature,
        "files": {name: sha256(folder / name) for name in (LATENT_ENCODER, PROTO_LEAKNET)},
    }
    card = {"format": FORMAT, "name": model.name, "model": section}
    write_card(folder, card)
    return card


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write card.json, readable and with a stable order."""
    (folder / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """Read card.json. Raises ModelUnusable when it is damaged or of another format."""
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        found = card["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnusable(folder, f"its {CARD} cannot be read ({error})") from error
    if found != FORMAT:
        raise ModelUnusable(folder, f"its card has format {found}; this release reads {FORMAT}")
    return card


def read_model(folder: Path) -> tuple[Model, dict[str, Any]]:
    """Load a model and its card after checking every hash. Raises ModelUnusable."""
    card = read_card(folder)
    try:
        check_files(folder, card["model"]["files"])
        model = _model(card)
        _load(model.latent_encoder, folder / LATENT_ENCODER)
        _load(model.net, folder / PROTO_LEAKNET)
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise ModelUnusable(folder, f"card and weights do not fit together ({error!r})") from error
    except LeaktraceError as error:
        raise error if isinstance(error, ModelUnusable) else ModelUnusable(folder, str(error)) from error
    return model, card


def check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    """Raise ModelUnusable unless each file has the SHA-256 that the card gives."""
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise ModelUnusable(folder, f"{name} is missing")
        found = sha256(folder / name)
        if found != expected:
            raise ModelUnusable(
                folder, f"{name} has SHA-256 {found[:12]}..., the card says {expected[:12]}..."
            )


def version_of(card: Mapping[str, Any]) -> str:
    """`<name>-<12 hexadecimal digits>` over everything that decides an embedding or a probability."""
    canonical = json.dumps(card["model"], sort_keys=True, separators=(",", ":"))
    return f"{card['name']}-{hashlib.sha256(canonical.encode()).hexdigest()[:VERSION_DIGITS]}"


def noise_key_of(card: Mapping[str, Any]) -> str:
    """What seeds the noise beside an image's content: the version but for the temperature."""
    section = {key: value for key, value in card["model"].items() if key != "temperature"}
    return hashlib.sha256(json.dumps(section, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _model(card: Mapping[str, Any]) -> Model:
    section = card["model"]
    schedule = section["schedule"]
    latents = _latents(section["latents"])
    encoder = {key: _tuples(value) for key, value in section["encoder"].items()}
    config = ModelConfig(
        EncoderConfig(**encoder),
        tuple(section["classes"]),
        section["prototypes"],
        section.get("coordinates", 0),
        section.get("components", 0),
    )
    return Model(
        name=card["name"],
        preprocessing=Preprocessing(**section["preprocessing"]),
        schedule=Schedule(steps=tuple(schedule["steps"]), draws=schedule["draws"]),
        latents=latents,
        latent_encoder=build_latent_encoder(latents),
        net=ProtoLeakNet(config),
        temperature=float(section["temperature"]),
    )


def _latents(section: Mapping[str, Any]) -> LatentsConfig:
    picture, trace = section["picture"], section["trace"]
    return LatentsConfig(
        picture=PictureConfig(**picture) if picture else None,
        source=section["source"],
        trace=TraceConfig(**{key: _tuples(value) for key, value in trace.items()}) if trace else None,
    )


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _own_state(encoder: TwoStreamEncoder) -> dict[str, Tensor]:
    """Our streams' weights: a diffusers autoencoder is named in the card, not copied."""
    return {key: value for key, value in encoder.state_dict().items() if ".autoencoder." not in key}


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    # Contiguous copies, because channels-last weights are views with other strides.
    save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone


def _load(module: nn.Module, path: Path) -> None:
    own = set(_own_state(module)) if isinstance(module, TwoStreamEncoder) else set(module.state_dict())
    tensors = load_file(path)
    if set(tensors) != own:
        raise ValueError(f"{path.name} holds {len(tensors)} tensors, the card describes {len(own)}")
    module.load_state_dict(tensors, strict=False)
    module.eval()
