"""The whole pass on a small trained model: order, repetition, honesty about unseen images, and its own self-test."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leaktrace.science.attributor import Attributor, ModelUnusable
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.golden import golden_image
from leaktrace.science.images import EmptyFile
from leaktrace.science.model_folder import DENSITY
from leaktrace.science.preprocessing import PreparedImage
from tests import credentials


@pytest.fixture
def prepared(attributor: Attributor, pictures: Path) -> list[PreparedImage]:
    files = sorted((pictures / "real").glob("*.png"))[:4]
    return [attributor.prepare(file.read_bytes()) for file in files]


def test_answers_keep_the_order(attributor: Attributor, prepared: list[PreparedImage]) -> None:
    forwards = attributor.attribute(prepared)
    backwards = attributor.attribute(prepared[::-1])
    assert [a.probabilities for a in forwards] == [a.probabilities for a in backwards[::-1]]


def test_same_image_scores_identically(attributor: Attributor, prepared: list[PreparedImage]) -> None:
    first, second = (attributor.attribute(prepared[:1])[0] for _ in range(2))
    assert first.to_dict() == second.to_dict()
    assert np.array_equal(first.embedding, second.embedding)


def test_two_loads_answer_identically(
    attributor: Attributor, small_folder: Path, prepared: list[PreparedImage]
) -> None:
    other = Attributor.load(small_folder, device="cpu").attribute(prepared)
    assert [a.to_dict() for a in other] == [a.to_dict() for a in attributor.attribute(prepared)]


def test_crops_change_no_answer(attributor: Attributor, prepared: list[PreparedImage]) -> None:
    nowhere = [replace(image, boxes=()) for image in prepared]
    told, plain = attributor.attribute(prepared), attributor.attribute(nowhere)
    for one, other in zip(told, plain, strict=True):
        assert len(one.explanation.crops) == len(prepared[0].crops)
        assert replace(one.explanation, crops=()) == other.explanation
        assert (one.verdict, one.probabilities, one.p_values) == (
            other.verdict,
            other.probabilities,
            other.p_values,
        )
        assert np.array_equal(one.embedding, other.embedding)


def test_provenance_changes_no_answer(attributor: Attributor, pictures: Path) -> None:
    with Image.open(sorted((pictures / "real").glob("*.png"))[0]) as picture:
        exif = Image.Exif()
        exif[0x0131] = "A generator"  # Software
        plain, told = BytesIO(), BytesIO()
        picture.convert("RGB").save(plain, "JPEG", quality=90)
        picture.convert("RGB").save(told, "JPEG", quality=90, exif=exif)
    signed = credentials.sign(told.getvalue())
    answers = attributor.attribute([attributor.prepare(data) for data in (plain.getvalue(), signed)])
    assert answers[0].to_dict() == answers[1].to_dict()
    assert np.array_equal(answers[0].embedding, answers[1].embedding)


def test_no_images_no_answers(attributor: Attributor) -> None:
    assert attributor.attribute([]) == []


def test_answers_are_plain_json(attributor: Attributor, prepared: list[PreparedImage]) -> None:
    answer = attributor.attribute(prepared[:1])[0].to_dict()
    assert json.loads(json.dumps(answer))["verdict"] in {"generator", "unseen", "inconclusive"}
    assert "embedding" not in answer


def test_few_calibration_images_are_admitted(attributor: Attributor, prepared: list[PreparedImage]) -> None:
    # Four calibration images a class: no p-value can fall under 1/5, so nothing may be called unseen at 0.05.
    answers = attributor.attribute(prepared)
    assert {answer.smallest_p for answer in answers} == {0.2}
    assert "unseen" not in {answer.verdict for answer in answers}


def test_attention_is_explained(attributor: Attributor, prepared: list[PreparedImage]) -> None:
    explanation = attributor.attribute(prepared[:1])[0].explanation
    assert [step.timestep for step in explanation.steps] == [0, 100, 500]
    assert sum(step.attention for step in explanation.steps) == pytest.approx(1, abs=1e-5)


def test_bad_bytes_are_refused(attributor: Attributor) -> None:
    with pytest.raises(EmptyFile):
        attributor.prepare(b"")


def test_other_models_density_is_refused(attributor: Attributor) -> None:
    density = OpenSetDensity.from_bytes(attributor.density.to_bytes())
    density.model_version = "other-000000000000"
    with pytest.raises(ValueError, match="other-000000000000"):
        attributor.use_density(density, version="d2")


def test_other_classes_density_is_refused(attributor: Attributor) -> None:
    random = np.random.default_rng(0)
    rows = [random.normal(size=(20, attributor.embedding_dim)) for _ in range(2)]
    names = np.repeat(["cat", "dog"], 10)
    density = OpenSetDensity(model_version=attributor.version)
    density.fit(rows[0], names, calibration_embeddings=rows[1], calibration_labels=names)
    with pytest.raises(ValueError, match="cat"):
        attributor.use_density(density, version="d2")


def test_density_swaps_whole(attributor: Attributor) -> None:
    density = OpenSetDensity.from_bytes(attributor.density.to_bytes())
    attributor.use_density(density, version="d2")
    assert attributor.density is density
    assert attributor.density_version == "d2"


def test_self_test_passes(attributor: Attributor) -> None:
    attributor.self_test()
    assert attributor.card["golden"]["embeddings"]


@pytest.mark.parametrize("name", ["embeddings", "probabilities"])
def test_self_test_notices_change(attributor: Attributor, name: str) -> None:
    attributor.card["golden"][name][0][0] += 0.5
    with pytest.raises(ModelUnusable, match=name):
        attributor.self_test()


def test_self_test_notices_nan(attributor: Attributor) -> None:
    attributor.card["golden"]["embeddings"][0][0] = float("nan")
    with pytest.raises(ModelUnusable, match="embeddings"):
        attributor.self_test()


def test_changed_density_is_refused(small_folder: Path, tmp_path: Path) -> None:
    for file in small_folder.glob("[!.]*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = (tmp_path / DENSITY).read_bytes()
    (tmp_path / DENSITY).write_bytes(whole[:-1] + bytes([whole[-1] ^ 0xFF]))
    with pytest.raises(ModelUnusable, match="SHA-256"):
        Attributor.load(tmp_path)


def test_golden_images_never_change(attributor: Attributor) -> None:
    image = golden_image(0, attributor.model.preprocessing)
    assert image.content_hash.hex()[:16] == "95c4d3eb15913c30"
