"""Training that can stop and go on: weights, averaged weights and optimiser state in one safetensors file.

A checkpoint is written after an epoch under a temporary name and renamed, so a kill leaves the last whole one. What
is random in an epoch depends on the seed and the epoch's number alone. Knows nothing of what is trained.
"""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save_checkpoint(
    path: Path,
    *,
    epoch: int,
    recipe: str,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.AdamW,
) -> None:
    """Write the state after `epoch` whole epochs; `recipe` says which training it belongs to."""
    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    tensors |= {f"average.{key}": value for key, value in average.state_dict().items()}
    for name, parameter in network.named_parameters():
        state = optimiser.state.get(parameter, {})
        tensors |= {f"optimiser.{moment}.{name}": state[moment] for moment in MOMENTS if moment in state}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    metadata = {"epoch": str(epoch), "recipe": recipe}
    save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()}, partial, metadata)
    partial.replace(path)


def load_checkpoint(
    path: Path, *, recipe: str, network: nn.Module, average: nn.Module, optimiser: torch.optim.AdamW
) -> int:
    """Restore the state if `path` holds one of the same recipe; returns how many epochs it has behind it, else 0."""
    if not path.is_file():
        return 0
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if metadata["recipe"] != recipe:
            return 0
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    network.load_state_dict(_under(tensors, "network."))
    average.load_state_dict(_under(tensors, "average."))
    for name, parameter in network.named_parameters():
        state = {m: tensors[f"optimiser.{m}.{name}"] for m in MOMENTS if f"optimiser.{m}.{name}" in tensors}
        if state:
            optimiser.state[parameter] = state
    return int(metadata["epoch"])


def recipe_key(*parts: object) -> str:
    """A text that is equal for two trainings only if all their settings are."""
    return json.dumps([repr(part) for part in parts])


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
