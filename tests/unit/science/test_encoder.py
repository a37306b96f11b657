"""Leak encoder, gate and attention: shapes, bounds, gradients, and that all three are trained and saved."""

import math

import pytest
import torch

from leaktrace.science.encoder import EncoderConfig, TemporalAttention, TemporalEncoder, attention_entropy
from leaktrace.science.renoising import cumulative_alphas

CONFIG = EncoderConfig(channels=3, steps=(0, 100, 500), widths=(8, 8, 8), embedding_dim=16)


@pytest.fixture
def encoder() -> TemporalEncoder:
    torch.manual_seed(0)
    return TemporalEncoder(CONFIG)


def test_attention_rows_add_up(encoder: TemporalEncoder) -> None:
    embedded = encoder.eval()(torch.randn(4, 3, 3, 8, 8))
    torch.testing.assert_close(embedded.attention.sum(1), torch.ones(4))


def test_gate_stays_in_bounds(encoder: TemporalEncoder) -> None:
    gate = encoder.eval()(torch.randn(4, 3, 3, 8, 8)).gate
    assert ((gate > 0) & (gate < 1)).all()


def test_step_features_have_length(encoder: TemporalEncoder) -> None:
    features = encoder.eval().leak(torch.randn(4, 3, 3, 8, 8))
    torch.testing.assert_close(features.norm(dim=-1), torch.full((4, 3), CONFIG.norm), rtol=1e-2, atol=1e-2)


def test_embedding_pools_by_attention(encoder: TemporalEncoder) -> None:
    renoised = torch.randn(2, 3, 3, 8, 8)
    embedded, features = encoder.eval()(renoised), encoder.leak(renoised)
    expected = torch.zeros(2, 16)
    for image in range(2):
        for step in range(3):
            expected[image] += embedded.attention[image, step] * features[image, step]
    torch.testing.assert_close(embedded.embedding, expected)


@pytest.mark.parametrize("part", ["attention.query", "gate.0", "leak.project"])
def test_every_part_gets_gradients(encoder: TemporalEncoder, part: str) -> None:
    embedded = encoder(torch.randn(8, 3, 3, 8, 8))
    (embedded.embedding.square().sum() + (embedded.gate * embedded.embedding).sum()).backward()
    gradient = encoder.get_submodule(part).weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_attention_is_in_checkpoint(encoder: TemporalEncoder) -> None:
    assert {"attention.query.weight", "gate.0.weight", "leak.project.weight"} <= set(encoder.state_dict())


def test_gain_undoes_sigma_normalisation(encoder: TemporalEncoder) -> None:
    # The input is z_t / sigma_t; times the first gain it is z_t again, of unit variance at every step.
    expected = (1 - cumulative_alphas()[[0, 100, 500]]).sqrt()
    torch.testing.assert_close(encoder.leak.gain[:, 0].detach(), expected)


def test_dropout_keeps_some_step() -> None:
    torch.manual_seed(0)
    attention = TemporalAttention(EncoderConfig(channels=3, steps=(0, 1), embedding_dim=16, step_dropout=0.9))
    rows = attention.train()(torch.randn(500, 2, 16))
    assert torch.isfinite(rows).all()
    assert (rows == 0).any()


def test_wrong_step_count_is_named(encoder: TemporalEncoder) -> None:
    with pytest.raises(ValueError, match="2 steps were given, the encoder has 3"):
        encoder(torch.randn(1, 2, 3, 8, 8))


def test_entropy_of_known_rows() -> None:
    even, sure = torch.full((1, 4), 0.25), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert float(attention_entropy(even)) == pytest.approx(math.log(4))
    assert float(attention_entropy(sure)) == pytest.approx(0, abs=1e-6)
