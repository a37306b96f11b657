"""Fused convolutions say what separate ones say, with oneDNN's operations and without them."""

import copy

import pytest
import torch
from torch import nn

from leaktrace.science import fusion
from leaktrace.science.distilled import Convolution, ResidualBlock
from leaktrace.science.fusion import FusedConvolution, FusedResidualBlock, fuse

CPU = torch.device("cpu")


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(
        Convolution(3, 8), ResidualBlock(8), Convolution(8, 4, stride=2), nn.Conv2d(4, 2, 1)
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    return network.eval().requires_grad_(False)


def answers(network: nn.Sequential) -> tuple[torch.Tensor, torch.Tensor]:
    fused = copy.deepcopy(network)
    fuse(fused, device=CPU)
    images = torch.randn(2, 3, 16, 16)
    return network(images), fused(images)


def test_fused_network_agrees(network: nn.Sequential) -> None:
    expected, fused = answers(network)
    torch.testing.assert_close(fused, expected, atol=1e-5, rtol=1e-5)


def test_folding_alone_agrees(network: nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "_fused_operations_exist", lambda: False)
    expected, fused = answers(network)
    torch.testing.assert_close(fused, expected, atol=1e-5, rtol=1e-5)


def test_no_normalisation_is_left(network: nn.Sequential) -> None:
    fuse(network, device=CPU)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.skipif(
    not fusion._fused_operations_exist(), reason="this build of torch has no fused operations"
)
def test_every_block_is_fused(network: nn.Sequential) -> None:
    fuse(network, device=CPU)
    kinds = [type(module) for module in network]
    assert kinds == [FusedConvolution, FusedResidualBlock, FusedConvolution, nn.Conv2d]
