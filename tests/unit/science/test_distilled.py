"""Our latent encoder stays within its budget and keeps the high frequencies that traces live in."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from leaktrace.science.distilled import (
    RESIDUAL_GAIN,
    LatentsConfig,
    PictureConfig,
    TraceConfig,
    TwoStreamEncoder,
    build_latent_encoder,
    high_pass,
)
from leaktrace.science.latents import LatentEncoder

BUDGET_GFLOP = 6.0


def test_encoder_costs_under_budget() -> None:
    encoder = build_latent_encoder(LatentsConfig(PictureConfig(), None, TraceConfig())).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder.encode(torch.zeros(1, 3, 256, 256))
    assert 1.0 < counter.get_total_flops() / 1e9 <= BUDGET_GFLOP


def test_streams_stand_side_by_side() -> None:
    torch.manual_seed(0)
    encoder = build_latent_encoder(LatentsConfig(PictureConfig(), None, TraceConfig())).eval()
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        latents = encoder.encode(images)
        assert encoder.picture is not None
        assert torch.equal(latents[:, :4], encoder.picture(images))
    assert latents.shape == (1, encoder.channels, 8, 8)


def test_encoder_fits_interface() -> None:
    assert isinstance(build_latent_encoder(LatentsConfig(trace=TraceConfig())), LatentEncoder)


def test_no_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="0 were given"):
        TwoStreamEncoder(None, None)


def test_two_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        LatentsConfig(picture=PictureConfig(), source="somewhere")


def test_flat_areas_have_no_residual() -> None:
    assert torch.allclose(high_pass(torch.full((1, 3, 16, 16), 0.7)), torch.zeros(1, 3, 16, 16), atol=1e-6)


def test_residual_of_one_pixel() -> None:
    # One bright pixel: the binomial blur leaves 1/4 of it in place, 1/8 beside it, 1/16 across.
    images = torch.zeros(1, 3, 5, 5)
    images[0, 1, 2, 2] = 1.0
    residual = high_pass(images)[0, 1] / RESIDUAL_GAIN
    expected = torch.tensor([[-1 / 16, -1 / 8, -1 / 16], [-1 / 8, 3 / 4, -1 / 8], [-1 / 16, -1 / 8, -1 / 16]])
    torch.testing.assert_close(residual[1:4, 1:4], expected)


def chequerboard() -> torch.Tensor:
    """Single pixels of plus and minus 0.02: the first thing that pooling and resizing would erase."""
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    return ((rows + columns) % 2 * 2.0 - 1.0).expand(1, 3, 64, 64) * 0.02


def test_finest_detail_passes_whole() -> None:
    inner = (high_pass(chequerboard()) / RESIDUAL_GAIN)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inner, chequerboard()[..., 1:-1, 1:-1])


def test_trace_ignores_brightness() -> None:
    torch.manual_seed(0)
    encoder = build_latent_encoder(LatentsConfig(trace=TraceConfig())).eval()
    with torch.no_grad():
        black = encoder.encode(torch.zeros(1, 3, 64, 64))
        brighter = encoder.encode(torch.full((1, 3, 64, 64), 0.02))
        finer = encoder.encode(chequerboard())
    assert (finer - black).norm() > 100 * (brighter - black).norm()
