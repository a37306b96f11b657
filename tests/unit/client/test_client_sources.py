"""Which files are found in folders and archives, and which dangers they bring."""

import os
import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaktrace.client import UnusableFile, UploadFile, files_in
from leaktrace.client.archives import ArchiveLimits, ArchiveRefused, archive_files
from leaktrace.client.sources import NoSource, count_images, files_in_all

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
Members = dict[str, bytes]


def write_zip(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, BytesIO(content))
    return path


Writer = Callable[[Path, Members], Path]
both_kinds = pytest.mark.parametrize(
    ("write", "name"), [(write_zip, "a.zip"), (write_tar, "a.tar.gz")], ids=["zip", "tar"]
)


def ids(path: Path) -> list[str]:
    return [file.custom_id for file in files_in(path)]


def unusable(path: Path, **limits: int) -> dict[str, str]:
    found = files_in(path, limits=ArchiveLimits(**limits))
    return {file.custom_id: file.code for file in found if isinstance(file, UnusableFile)}


def test_folder_is_walked_in_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "a.jpg", "b/1.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    assert ids(tmp_path) == ["a.jpg", "b/1.PNG", "b/2.png"]


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    for name in ("notes.txt", ".hidden.png", "._mac.jpg", "manifest.csv"):
        (tmp_path / name).write_bytes(b"text")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.png").write_bytes(PNG)
    assert ids(tmp_path) == []


def test_image_of_wrong_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "picture.txt").write_bytes(PNG)
    assert ids(tmp_path) == ["picture.txt"]


def test_empty_image_is_not_overlooked(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert ids(tmp_path) == ["empty.png"]


def test_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert ids(tmp_path) == []


def test_link_loop_ends(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a.png").write_bytes(PNG)
    assert ids(tmp_path) == ["a.png"]


def test_dangling_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "nowhere")
    (file,) = files_in(tmp_path)
    assert isinstance(file, UnusableFile)
    assert file.code == "unreadable"


def test_missing_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSource, match="nowhere"):
        files_in(tmp_path / "nowhere")


@both_kinds
def test_archive_members_are_read(tmp_path: Path, write: Writer, name: str) -> None:
    path = write(tmp_path / name, {"x/a.png": PNG, "notes.txt": b"text", "x/b.png": b"12"})
    found = [file for file in files_in(path) if isinstance(file, UploadFile)]
    assert [(file.custom_id, file.open().read()) for file in found] == [("x/a.png", PNG), ("x/b.png", b"12")]


@both_kinds
@pytest.mark.parametrize("member", ["../up.png", "/root.png", "a/../../b.png", "..\\up.png", "C:\\x.png"])
def test_path_that_points_outside_is_refused(tmp_path: Path, write: Writer, name: str, member: str) -> None:
    path = write(tmp_path / name, {member: PNG})
    assert list(unusable(path).values()) == ["unsafe_path"]


@both_kinds
def test_large_member_is_not_read(tmp_path: Path, write: Writer, name: str) -> None:
    path = write(tmp_path / name, {"big.png": bytes(5000), "ok.png": PNG})
    assert unusable(path, member_bytes=1000) == {"big.png": "too_many_bytes"}


@both_kinds
def test_bomb_is_given_up(tmp_path: Path, write: Writer, name: str) -> None:
    path = write(tmp_path / name, {f"{place}.png": bytes(1_000_000) for place in range(20)})
    with pytest.raises(ArchiveRefused, match="times its size"):
        list(archive_files(path, limits=ArchiveLimits(free_bytes=1_000_000)))


@both_kinds
def test_too_many_members_are_given_up(tmp_path: Path, write: Writer, name: str) -> None:
    path = write(tmp_path / name, {f"{place}.png": b"x" for place in range(11)})
    with pytest.raises(ArchiveRefused, match="more than 10 members"):
        list(archive_files(path, limits=ArchiveLimits(members=10)))


@both_kinds
def test_broken_archive_is_named(tmp_path: Path, write: Writer, name: str) -> None:
    path = write(tmp_path / name, {"a.png": os.urandom(10_000)})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ArchiveRefused, match="cannot be read"):
        list(archive_files(path))


@both_kinds
@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(0, 400))
def test_damage_never_escapes(
    tmp_path_factory: pytest.TempPathFactory, write: Writer, name: str, junk: bytes, at: int
) -> None:
    path = write(tmp_path_factory.mktemp("damaged") / name, {"a.png": PNG, "b/c.jpg": bytes(99)})
    content = bytearray(path.read_bytes())
    content[at : at + len(junk)] = junk
    path.write_bytes(content)
    try:
        found = list(files_in(path))
    except ArchiveRefused:
        return
    assert all(".." not in file.custom_id.split("/") or isinstance(file, UnusableFile) for file in found)


def test_links_in_tar_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("passwd.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert ids(path) == []


def test_giant_tar_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 8_000_000_000
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(ArchiveRefused, match="header of 8,000,000,000 bytes"):
        list(archive_files(path))


def test_encrypted_member_is_reported(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": PNG})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert unusable(path) == {"a.png": "encrypted"}


def test_unsupported_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.7z").write_bytes(b"7z")
    with pytest.raises(ArchiveRefused, match="pack it as zip or tar"):
        files_in(tmp_path / "a.7z")


def test_several_places_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(PNG)
    found = files_in_all([tmp_path / "one", tmp_path / "two"])
    assert [file.custom_id for file in found] == ["one/a.png", "two/a.png"]


def test_places_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("x/p", "y/p"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(NoSource, match="named 'p'"):
        list(files_in_all([tmp_path / "x/p", tmp_path / "y/p"]))


def test_count_agrees_with_walk(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    assert count_images([tmp_path]) == len(ids(tmp_path)) == 2


def test_archive_length_is_unknown(tmp_path: Path) -> None:
    assert count_images([write_zip(tmp_path / "a.zip", {"a.png": PNG})]) is None
