"""Small files for uploads from the browser: different pictures, in folders and archives."""

import secrets
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from leaktrace.client import Client, UploadFile
from tests.submissions import picture

HOSTILE_NAME = "<img src=x onerror=alert(1)>.png"


def numbered(count: int) -> dict[str, bytes]:
    """Pictures by the name of their file, such as the service has never seen."""
    return {f"picture-{number}.png": unseen_picture() for number in range(count)}


def unseen_picture() -> bytes:
    """A PNG unlike any before: the service asks for no bytes that it has."""
    return picture(secrets.randbits(32))


def attribute(client: Client, files: Mapping[str, bytes]) -> str:
    """Have the service attribute files by custom_id; returns their batch's id."""
    batch = client.create_batch(name="for a test")
    uploads = [UploadFile.from_bytes(data, custom_id=name) for name, data in files.items()]
    assert len(list(client.upload(batch.id, uploads))) == len(files)
    client.close(batch.id)
    client.wait(batch.id)
    return batch.id


def make_folder(folder: Path, files: Mapping[str, bytes], *, others: Iterable[str] = ()) -> Path:
    """A folder with these files, and with others that are no images."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for name in others:
        (folder / name).write_text("no picture")
    return folder


def make_archive(path: Path, files: Mapping[str, bytes]) -> Path:
    """A ZIP archive with these files, deflated."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path
