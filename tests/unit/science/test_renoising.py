"""The schedule is Stable Diffusion's own, re-noising follows the formula, and noise follows content and version."""

import math
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from leaktrace.science.renoising import NoiseBank, Schedule, cumulative_alphas, renoise, signal_and_noise


def test_schedule_is_scaled_linear() -> None:
    assert math.sqrt(float(cumulative_alphas()[500])) == pytest.approx(0.526, abs=5e-4)


def test_alphas_match_diffusers() -> None:
    untyped: Any = DDPMScheduler
    scheduler = untyped(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    assert torch.equal(cumulative_alphas(), scheduler.alphas_cumprod)


def test_alphas_match_plain_product() -> None:
    low, high = math.sqrt(0.00085), math.sqrt(0.012)
    product, expected = 1.0, []
    for step in range(1000):
        product *= 1 - (low + (high - low) * step / 999) ** 2
        expected.append(product)
    torch.testing.assert_close(cumulative_alphas(), torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_signal_and_noise_share_one() -> None:
    signal, sigma = signal_and_noise((0, 250, 999))
    torch.testing.assert_close(signal**2 + sigma**2, torch.ones(3))


def test_renoise_follows_formula() -> None:
    # sqrt(abar) = 0.6 and sigma = 0.8: (0.6 * 2 + 0.8 * 3) / 0.8 = 4.5.
    latents, noise = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1, 1), 3.0)
    result = renoise(latents, noise, signal=torch.tensor([0.6]), sigma=torch.tensor([0.8]))
    assert result.item() == pytest.approx(4.5)


def test_renoised_latents_match_loop() -> None:
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn((2, 3, 4, 4), generator=generator)
    noise = torch.randn((2, 5, 3, 4, 4), generator=generator)
    signal, sigma = signal_and_noise((0, 20, 60, 150, 300))
    result = renoise(latents, noise, signal=signal, sigma=sigma)
    for image in range(2):
        for step in range(5):
            noised = signal[step] * latents[image] + sigma[step] * noise[image, step]
            torch.testing.assert_close(result[image, step], noised / sigma[step])


def test_wrong_noise_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 3, 4, 4\)"):
        renoise(
            torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 3, 4, 4), signal=torch.ones(2), sigma=torch.ones(2)
        )


@settings(deadline=None, max_examples=25)
@given(content=st.binary(min_size=32, max_size=32))
def test_noise_repeats_for_content(content: bytes) -> None:
    banks = [NoiseBank("v1", shape=(1, 2, 2), draws_per_image=5) for _ in range(2)]
    assert torch.equal(banks[0].draw(content), banks[1].draw(content))


def test_noise_differs_by_content() -> None:
    bank = NoiseBank("v1", shape=(2, 4, 4), draws_per_image=10)
    assert not torch.equal(bank.draw(b"a" * 32), bank.draw(b"b" * 32))


def test_noise_differs_by_version() -> None:
    first, second = (NoiseBank(version, shape=(2, 4, 4), draws_per_image=10) for version in ("v1", "v2"))
    assert not torch.equal(first.draw(b"a" * 32), second.draw(b"a" * 32))


def test_steps_get_different_noise() -> None:
    drawn = NoiseBank("v1", shape=(1, 4, 4), draws_per_image=20).draw(b"a" * 32)
    assert len({block.numpy().tobytes() for block in drawn}) == 20


def test_noise_is_standard_normal() -> None:
    blocks = NoiseBank("v1", shape=(4, 32, 32), draws_per_image=20).blocks
    assert abs(float(blocks.mean())) < 0.01
    assert float(blocks.std()) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("steps", [(), (-1,), (1000,)])
def test_impossible_steps_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="steps must be"):
        Schedule(steps=steps)


def test_default_uses_several_steps() -> None:
    assert len(Schedule().steps) >= 5
