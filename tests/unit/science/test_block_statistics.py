"""Block statistics see frequencies, not places; their coordinates average over crops and stand behind the features."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from leaktrace.science.block_statistics import STATISTICS, BlockCoordinates, block_statistics
from leaktrace.science.golden import golden_image
from leaktrace.science.inference import InferencePass
from leaktrace.science.model import ProtoLeakNet
from leaktrace.science.model_folder import Model, read_model, write_model

COEFFICIENTS = 64
ON_GRID = slice(0, 2 * 6 * COEFFICIENTS)
OFF_GRID = slice(ON_GRID.stop, ON_GRID.stop + 6 * COEFFICIENTS)
RUNS = slice(OFF_GRID.stop, STATISTICS)


def grain(strength: float = 0.1, *, images: int = 2, side: int = 64) -> torch.Tensor:
    return torch.randn((images, 3, side, side), generator=torch.Generator().manual_seed(0)) * strength


@pytest.fixture
def model_with_blocks(small_model: Model) -> Model:
    torch.manual_seed(1)
    net = ProtoLeakNet(replace(small_model.net.config, coordinates=2)).eval()
    assert net.blocks is not None
    net.blocks.projection.normal_(0, 0.01)
    return replace(small_model, net=net)


def test_flat_images_have_finite_statistics() -> None:
    found = block_statistics(torch.full((2, 3, 32, 48), 0.25))
    assert found.shape == (2, STATISTICS)
    assert found.isfinite().all()


def test_blocks_may_change_places() -> None:
    images = grain()
    shuffled = images.view(2, 3, 4, 16, 64).flip(2).view(2, 3, 64, 64)
    found, again = block_statistics(images)[:, ON_GRID], block_statistics(shuffled)[:, ON_GRID]
    torch.testing.assert_close(found, again, atol=1e-5, rtol=1e-5)


def test_contrast_moves_deviations_alone() -> None:
    calm, lively = block_statistics(grain(0.2)), block_statistics(grain(0.4))
    deviations = slice(0, 3 * COEFFICIENTS)
    shapes = slice(3 * COEFFICIENTS, 6 * COEFFICIENTS)
    difference = lively - calm
    assert difference[:, deviations].mean().item() == pytest.approx(0.693, abs=0.01)
    assert difference[:, shapes].abs().max() < 0.02


def test_stripes_stand_out_in_one_frequency() -> None:
    columns = torch.cos((2 * torch.arange(64) + 1) * 5 * torch.pi / 16)  # the fifth frequency across
    phases = torch.linspace(-1, 1, 8).repeat_interleave(8)[:, None]
    striped = grain(0.01) + 0.3 * phases * columns
    change = (block_statistics(striped) - block_statistics(grain(0.01)))[0, :COEFFICIENTS]
    assert change.argmax().item() == 5


def test_off_grid_blocks_begin_half_a_block_on() -> None:
    images = grain()
    own = slice(0, 6 * COEFFICIENTS)
    off_grid, on_grid = block_statistics(images)[:, OFF_GRID], block_statistics(images)[:, own]
    torch.testing.assert_close(off_grid, block_statistics(images[:, :, 4:-4, 4:-4])[:, own])
    assert not torch.allclose(off_grid, on_grid)


def test_runs_of_second_differences() -> None:
    """Turned, mirrored and inverted pictures have the same runs; flat ones have one kind, and grain has many."""
    flat, images = torch.zeros((1, 3, 32, 32)), grain(0.02, side=48)
    found = block_statistics(images)[:, RUNS]
    for same in (images.flip(3), images.flip(2), images.transpose(2, 3), -images):
        torch.testing.assert_close(block_statistics(same)[:, RUNS], found, atol=1e-5, rtol=1e-5)
    shares = sorted(block_statistics(flat)[0, RUNS].exp().tolist())
    assert shares[-2:] == pytest.approx([0.002, 1.002])
    assert (found.exp() > 0.01).sum(dim=1).min() > 10


def test_coordinates_average_over_crops() -> None:
    coordinates = BlockCoordinates(3)
    coordinates.projection.normal_()
    images = grain(images=4)
    pooled = coordinates(images).mean(dim=0)
    expected = (block_statistics(images).mean(dim=0) - coordinates.mean) @ coordinates.projection
    torch.testing.assert_close(pooled, expected, atol=1e-3, rtol=1e-3)


def test_coordinates_stand_behind_features(small_model: Model, model_with_blocks: Model) -> None:
    image = golden_image(0, small_model.preprocessing)
    state = model_with_blocks.net.state_dict()
    state |= {key: value for key, value in small_model.net.state_dict().items() if key.startswith("encoder")}
    model_with_blocks.net.load_state_dict(state)
    plain, longer = (
        InferencePass(model, noise_key="key", device=torch.device("cpu")).embed([image])
        for model in (small_model, model_with_blocks)
    )
    assert torch.equal(longer.embedding[:, :16], plain.embedding)
    assert longer.embedding.shape == (1, 18)
    assert (longer.gate[:, 16:] == 1).all()


def test_left_out_steps_keep_coordinates(model_with_blocks: Model) -> None:
    image = golden_image(0, model_with_blocks.preprocessing)
    inference = InferencePass(model_with_blocks, noise_key="key", device=torch.device("cpu"))
    whole, without = inference.embed([image]), inference.embed_without_steps(image)
    torch.testing.assert_close(without.embedding[:, 16:], whole.embedding[:, 16:].expand(3, -1))


def test_folder_keeps_coordinates(model_with_blocks: Model, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_model(folder, model_with_blocks)
    loaded, _ = read_model(folder)
    assert loaded.net.config == model_with_blocks.net.config
    assert loaded.net.blocks is not None
    assert model_with_blocks.net.blocks is not None
    assert torch.equal(loaded.net.blocks.projection, model_with_blocks.net.blocks.projection)
