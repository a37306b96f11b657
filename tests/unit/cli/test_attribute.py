"""`leaktrace attribute`: one record a file whatever happens to it, clean output streams, honest exit codes."""

import json
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer import Typer
from typer.testing import CliRunner, Result

from leaktrace.cli.attribute import attribute
from leaktrace.cli.local_attribution import attribution_records, sources_in
from leaktrace.science.attributor import Attributor
from leaktrace.science.images import DecodeLimits, decode
from leaktrace.science.preprocessing import PreparedImage, Preprocessing, prepare


@dataclass(frozen=True)
class Answer:
    mean: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": "generator" if self.mean < 128 else "unseen",
            "generator": "dark" if self.mean < 128 else None,
            "p_value": 0.5,
            "alpha": 0.05,
            "reason": f"its mean is {self.mean:.0f}",
            "probabilities": {"dark": 0.9, "real": 0.1},
            "p_values": {"dark": 0.5, "real": 0.01},
            "explanation": {"steps": []},
        }


@dataclass
class StandIn:
    """Attributes by brightness; keeps the real decoding and refusals."""

    version: str = "stand-in-0123456789ab"
    density_version: str = "stand-in-density-1"
    batches: list[int] = field(default_factory=list)
    prepared: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def self_test(self) -> None:
        pass

    def prepare(self, data: bytes, *, limits: DecodeLimits) -> PreparedImage:
        with self.lock:
            self.prepared += 1
        return prepare(decode(data, limits=limits), Preprocessing("native"))

    def attribute(self, images: Sequence[PreparedImage]) -> list[Answer]:
        self.batches.append(len(images))
        return [Answer(float(image.crops.mean())) for image in images]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    attributor = StandIn()
    monkeypatch.setattr(Attributor, "load", lambda *_, **__: attributor)
    return attributor


def png(level: int) -> bytes:
    file = BytesIO()
    Image.fromarray(np.full((128, 128, 3), level, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "dark.png").write_bytes(png(10))
    (tmp_path / "sub" / "light.png").write_bytes(png(250))
    (tmp_path / "broken.png").write_bytes(png(10)[:-40])
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def run(*arguments: str) -> Result:
    app = Typer()
    app.command()(attribute)
    return CliRunner().invoke(app, list(arguments))


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("stand_in")
def test_every_image_gets_record(folder: Path) -> None:
    result = run(str(folder), "--json")
    found = {record["file"].removeprefix(f"{folder}/"): record for record in records(result)}
    assert sorted(found) == ["broken.png", "dark.png", "sub/light.png"]
    assert found["dark.png"]["generator"] == "dark"
    assert found["sub/light.png"]["verdict"] == "unseen"
    assert found["broken.png"]["error"]["code"] == "truncated"
    assert result.exit_code == 0


@pytest.mark.usefixtures("stand_in")
def test_record_is_self_contained(folder: Path) -> None:
    record = records(run(str(folder / "dark.png"), "--json"))[0]
    wanted = {"file", "verdict", "generator", "p_value", "alpha", "probabilities", "p_values", "explanation"}
    assert wanted | {"model_version", "density_version", "image"} <= set(record)
    assert record["file"] == str(folder / "dark.png")


@pytest.mark.usefixtures("stand_in")
def test_nothing_attributed_fails(folder: Path) -> None:
    result = run(str(folder / "broken.png"), "--json")
    assert result.exit_code == 1
    assert records(result)[0]["error"]["code"] == "truncated"


@pytest.mark.usefixtures("stand_in")
def test_table_names_every_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    result = run(str(folder))
    assert all(
        name in result.stdout for name in ("dark.png", "light.png", "broken.png", "truncated", "unseen")
    )


@pytest.mark.usefixtures("stand_in")
def test_table_counts_outcomes(folder: Path) -> None:
    assert "3 images: 1 failed, 1 dark, 1 unseen" in run(str(folder)).stdout


@pytest.mark.usefixtures("stand_in")
def test_hostile_names_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    (tmp_path / "a\x1b[31mb.png").write_bytes(png(10))
    assert "\x1b" not in run(str(tmp_path)).stdout


@pytest.mark.usefixtures("stand_in")
def test_missing_path_is_told(tmp_path: Path) -> None:
    result = run(str(tmp_path / "nowhere"))
    assert result.exit_code != 0
    assert "nowhere" in str(result.exception)


@pytest.mark.usefixtures("stand_in")
def test_archives_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("in/dark.png", png(10))
    record = records(run(str(tmp_path / "images.zip"), "--json"))[0]
    assert record["file"] == f"{tmp_path}/images.zip/in/dark.png"


@pytest.mark.usefixtures("stand_in")
def test_manifest_lists_images(folder: Path) -> None:
    (folder / "list.csv").write_text("file,generator\nsub/light.png,x\ngone.png,y\ndark.png,z\n")
    found = records(run(str(folder / "list.csv"), "--json"))
    assert [Path(record["file"]).name for record in found] == ["light.png", "gone.png", "dark.png"]
    assert found[1]["error"]["code"] == "unreadable"


@pytest.mark.usefixtures("stand_in")
def test_other_csv_is_refused(folder: Path) -> None:
    (folder / "other.csv").write_text("a,b\n1,2\n")
    result = run(str(folder / "other.csv"))
    assert "a column `file` is needed" in str(result.exception)


@pytest.mark.usefixtures("stand_in")
def test_unknown_device_is_misuse(folder: Path) -> None:
    assert run(str(folder), "--device", "abacus").exit_code == 2


def test_order_survives_batches(tmp_path: Path) -> None:
    for index in range(11):
        (tmp_path / f"{index:02}.png").write_bytes(png(20 * index) if index % 4 else b"broken")
    attributor = StandIn()
    found = list(attribution_records(attributor, sources_in([tmp_path]), batch_images=3))
    assert [Path(record["file"]).stem for record in found] == [f"{index:02}" for index in range(11)]
    assert [record["reason"] for record in found if "verdict" in record] == [
        f"its mean is {20 * index}" for index in range(11) if index % 4
    ]
    assert max(attributor.batches) <= 3


def test_few_batches_are_ahead(tmp_path: Path) -> None:
    for index in range(40):
        (tmp_path / f"{index:02}.png").write_bytes(png(10))
    attributor = StandIn()
    answers = attribution_records(attributor, sources_in([tmp_path]), batch_images=2)
    next(answers)
    assert attributor.prepared <= 2 + 4 + 1
    answers.close()
