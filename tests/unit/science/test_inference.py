"""One path for every image: the same answer in any batch, folded or not, and alike in both precisions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from leaktrace.science.encoder import Embedded
from leaktrace.science.golden import golden_image
from leaktrace.science.inference import InferencePass
from leaktrace.science.model_folder import Model
from leaktrace.science.preprocessing import PreparedImage

CPU = torch.device("cpu")


def ready(model: Model, precision: torch.dtype = torch.float32) -> InferencePass:
    return InferencePass(model, noise_key="key", device=CPU, precision=precision)


@pytest.fixture
def images(small_model: Model) -> list[PreparedImage]:
    return [golden_image(index, small_model.preprocessing) for index in range(5)]


def test_batch_size_changes_nothing(small_model: Model, images: list[PreparedImage]) -> None:
    inference = ready(small_model)
    together = inference.embed(images).embedding
    alone = torch.cat([inference.embed([image]).embedding for image in images])
    assert torch.equal(together, alone)


def test_order_changes_nothing(small_model: Model, images: list[PreparedImage]) -> None:
    inference = ready(small_model)
    forwards, backwards = inference.embed(images), inference.embed(images[::-1])
    assert torch.equal(forwards.embedding, backwards.embedding.flip(0))


def test_same_image_twice_is_identical(small_model: Model, images: list[PreparedImage]) -> None:
    first, second = ready(small_model).embed([images[0]] * 2).embedding
    assert torch.equal(first, second)


def test_folding_keeps_the_answer(small_model: Model, images: list[PreparedImage]) -> None:
    for module in small_model.net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    inference = ready(small_model)
    pixels = torch.from_numpy(images[0].crops).float() / 127.5 - 1
    noise = inference.noise.draw(images[0].content_hash).view(2, 3, 8, 8, 8)
    with torch.no_grad():
        unfolded = small_model.net.embed(small_model.latent_encoder(pixels), noise)
    expected = small_model.net.pool(unfolded, crops=2).embedding
    torch.testing.assert_close(inference.embed([images[0]]).embedding, expected, atol=1e-4, rtol=1e-4)


def test_precisions_agree_within_tolerance(small_model: Model, images: list[PreparedImage]) -> None:
    precise, quick = (ready(small_model, dtype).embed(images) for dtype in (torch.float32, torch.bfloat16))
    assert (precise.embedding - quick.embedding).abs().max() < 0.05


def test_model_itself_stays_untouched(small_model: Model) -> None:
    ready(small_model, torch.bfloat16)
    assert {parameter.dtype for parameter in small_model.net.parameters()} == {torch.float32}


def test_crops_pool_to_their_mean(small_model: Model) -> None:
    rows = torch.arange(8.0).view(4, 2)
    pooled = small_model.net.pool(Embedded(rows, rows, rows), crops=2)
    assert pooled.embedding.tolist() == [[1.0, 2.0], [5.0, 6.0]]


def test_temperature_keeps_the_argmax(small_model: Model, images: list[PreparedImage]) -> None:
    inference = ready(small_model)
    embedded = inference.embed(images)
    scores, probabilities = inference.scores(embedded), inference.probabilities(embedded)
    assert torch.equal(scores.argsort(1), probabilities.argsort(1))


def test_probabilities_add_up(small_model: Model, images: list[PreparedImage]) -> None:
    inference = ready(small_model)
    totals = inference.probabilities(inference.embed(images)).sum(1).numpy()
    assert totals == pytest.approx(np.ones(5), abs=1e-9)


def test_wrong_crop_count_is_named(small_model: Model, images: list[PreparedImage]) -> None:
    short = PreparedImage(images[0].crops[:1], images[0].header, "", images[0].content_hash, extended=False)
    with pytest.raises(ValueError, match=r"\(1, 3, 64, 64\), the model needs 2 to 2 of \(3, 64, 64\)"):
        ready(small_model).embed([short])


def test_numbers_of_crops_may_differ(small_model: Model) -> None:
    # Each image is the mean of its own crops, however many its neighbours have.
    preprocessing = replace(small_model.preprocessing, most_crops=5)
    model = replace(small_model, preprocessing=preprocessing)
    images = [
        golden_image(index, replace(preprocessing, crops=number)) for index, number in enumerate((2, 5, 3))
    ]
    inference = ready(model)
    pooled, crops = inference.embed_with_crops(images)
    assert [len(one.embedding) for one in crops] == [2, 5, 3]
    torch.testing.assert_close(pooled.embedding, torch.stack([one.embedding.mean(0) for one in crops]))
    alone = torch.cat([inference.embed([image]).embedding for image in images])
    assert torch.equal(pooled.embedding, alone)
