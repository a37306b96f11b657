"""Splits are read as written, and no road leads from a test image into a fit."""

from pathlib import Path

import pytest

from leaktrace.science.training.dataset import (
    Dataset,
    DatasetUnreadable,
    FittingSet,
    Sample,
    SplitLeak,
    fitting_set,
    read_dataset,
)


def sample(file: str, split: str, *, root: Path = Path(), generator: str = "a", prompt: str = "0") -> Sample:
    return Sample(root / file, file, generator, split, prompt)  # type: ignore[arg-type]


def written(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def test_manifest_folder_and_file_agree(pictures: Path) -> None:
    assert read_dataset(pictures) == read_dataset(pictures / "manifest.csv")


def test_splits_follow_the_manifest(pictures: Path) -> None:
    dataset = read_dataset(pictures)
    assert [len(dataset.split(split)) for split in ("train", "val", "test", "open")] == [24, 12, 12, 0]
    assert dataset.declared


def test_folders_name_their_generators(tmp_path: Path) -> None:
    written(tmp_path, {f"{g}/{i}.png": b"x" for g in ("a", "b") for i in range(30)} | {"a/notes.txt": b"x"})
    dataset = read_dataset(tmp_path)
    assert {s.generator for s in dataset.samples} == {"a", "b"}
    assert len(dataset.samples) == 60
    assert not dataset.declared


def test_drawn_splits_keep_prompts_together(tmp_path: Path) -> None:
    written(tmp_path, {f"{g}/{i}.png": b"x" for g in ("a", "b") for i in range(30)})
    splits: dict[str, set[str]] = {}
    for one in read_dataset(tmp_path).samples:
        splits.setdefault(one.prompt, set()).add(one.split)
    assert all(len(found) == 1 for found in splits.values())
    assert len({split for found in splits.values() for split in found}) == 3


def test_unknown_split_is_never_fitted(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,generator,split\nx.png,a,secret\n", encoding="utf-8")
    assert read_dataset(tmp_path).samples[0].split == "test"


def test_open_role_beats_the_split(tmp_path: Path) -> None:
    text = "file,generator,role,split\nx.png,a,open,train\n"
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    assert read_dataset(tmp_path).samples[0].split == "open"


@pytest.mark.parametrize(("column", "value"), [("tier", "far"), ("role", "far")])
def test_manifest_names_the_tier(tmp_path: Path, column: str, value: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"file,generator,{column}\nx.png,a,{value}\n", encoding="utf-8")
    assert read_dataset(tmp_path).samples[0].tier == "far"


@pytest.mark.parametrize("purpose", ["train", "select", "calibrate"])
@pytest.mark.parametrize("split", ["test", "open"])
def test_test_images_fit_nothing(purpose: str, split: str) -> None:
    with pytest.raises(SplitLeak, match=f"cannot be used to {purpose}"):
        FittingSet((sample("x.png", split),), purpose)  # type: ignore[arg-type]


@pytest.mark.parametrize(("purpose", "split"), [("train", "val"), ("select", "val"), ("calibrate", "train")])
def test_purposes_do_not_mix(purpose: str, split: str) -> None:
    with pytest.raises(SplitLeak):
        FittingSet((sample("x.png", split),), purpose)  # type: ignore[arg-type]


@pytest.mark.parametrize("split", ["test", "open"])
def test_relabelled_test_image_is_caught(tmp_path: Path, split: str) -> None:
    # The same bytes under another name and another split: what a careless copy of a manifest would do.
    written(tmp_path, {"one.png": b"same", "two.png": b"same"})
    samples = (sample("one.png", "train", root=tmp_path), sample("two.png", split, root=tmp_path))
    with pytest.raises(SplitLeak, match="the same bytes"):
        fitting_set(Dataset(samples, "", declared=True), purpose="train")


def test_selection_leaves_the_training_set(pictures: Path) -> None:
    dataset = read_dataset(pictures)
    training = set(fitting_set(dataset, purpose="train", hold_out=True).samples)
    selection = set(fitting_set(dataset, purpose="select").samples)
    assert training | selection == set(dataset.split("train"))
    assert not training & selection
    assert {s.generator for s in selection} == {"alpha-1", "beta-2", "real"}


def test_selection_shares_no_prompt(pictures: Path) -> None:
    dataset = read_dataset(pictures)
    training, selection = (
        {
            s.prompt
            for s in fitting_set(dataset, purpose=purpose, hold_out=True).samples
            if s.generator != "real"
        }
        for purpose in ("train", "select")
    )
    assert not training & selection


def test_digest_notices_moved_image(tmp_path: Path) -> None:
    digests = []
    for split in ("train", "test"):
        (tmp_path / "manifest.csv").write_text(f"file,generator,split\nx.png,a,{split}\n", encoding="utf-8")
        digests.append(read_dataset(tmp_path).digest)
    assert digests[0] != digests[1]


@pytest.mark.parametrize("text", ["", "file\nx.png\n", "generator\na\n", "file,generator\n"])
def test_unusable_manifests_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetUnreadable):
        read_dataset(tmp_path)


def test_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnreadable, match="does not exist"):
        read_dataset(tmp_path / "nowhere")
