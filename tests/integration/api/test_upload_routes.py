"""Uploading images by multipart: each file answered for itself, nothing lost, nothing believed."""

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import Engine, func, select

from leaktrace.objects import ObjectMissing, S3ObjectStore, image_key
from leaktrace.records.database import transaction
from leaktrace.records.models import Image, Item, Tenant
from leaktrace.settings import Settings
from tests.integration.api.service import MakeClient, create_batch, picture, serve_app, upload
from worker.deletion import Deleter

MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def encode(name: str, data: bytes) -> bytes:
    disposition = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return disposition.encode() + data + b"\r\n"


def count_items(engine: Engine, batch_id: str) -> int:
    with transaction(engine) as session:
        return session.scalar(select(func.count()).where(Item.batch_id == UUID(batch_id))) or 0


def post(client: httpx.Client, batch_id: str, *parts: tuple[Any, ...]) -> httpx.Response:
    return client.post(f"/v1/batches/{batch_id}/images", files=[("files", part) for part in parts])


def test_bytes_reach_the_store(
    client: httpx.Client, engine: Engine, store: S3ObjectStore, batch_id: str
) -> None:
    data = picture(11)
    answer = upload(client, batch_id, {"a": data})[0]
    with transaction(engine) as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "acme")).one()
    assert answer["sha256"] == hashlib.sha256(data).hexdigest()
    assert store.get(image_key(tenant_id, answer["sha256"])) == data


def test_file_over_memory_reaches_store(
    client: httpx.Client, engine: Engine, store: S3ObjectStore, batch_id: str
) -> None:
    data = picture(12) + bytes(3_000_000)
    answer = upload(client, batch_id, {"a": data})[0]
    with transaction(engine) as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "acme")).one()
    assert store.size(image_key(tenant_id, answer["sha256"])) == len(data)


def test_answers_keep_the_order(client: httpx.Client, batch_id: str) -> None:
    names = [f"{n}" for n in range(150)]  # more than are recorded together
    answers = upload(client, batch_id, {name: picture(int(name) % 7) for name in names})
    assert [answer["custom_id"] for answer in answers] == names
    assert {answer["status"] for answer in answers} == {"accepted"}


def test_refusals_sink_nobody(client: httpx.Client, batch_id: str) -> None:
    answers = upload(client, batch_id, {"a": picture(), "b": b"", "c": b"text", "d": picture(1)})
    assert [answer["status"] for answer in answers] == ["accepted", "refused", "refused", "accepted"]
    assert [answer["error"]["code"] for answer in answers[1:3]] == ["empty", "unsupported_format"]


def test_wrong_checksum_is_refused(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    answer = upload(client, batch_id, {"a": picture()}, **{"X-Sha256": "0" * 64})[0]
    assert (answer["error"]["code"], count_items(engine, batch_id)) == ("checksum_mismatch", 0)


def test_custom_id_header_wins(client: httpx.Client, batch_id: str) -> None:
    answer = upload(client, batch_id, {"a.jpg": picture()}, **{"X-Custom-Id": "mine"})[0]
    assert answer["custom_id"] == "mine"


def test_repeated_upload_is_duplicate(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    first = upload(client, batch_id, {"a": picture()})[0]
    again = upload(client, batch_id, {"a": picture()})[0]
    assert (again["status"], again["item_id"], count_items(engine, batch_id)) == (
        "duplicate",
        first["item_id"],
        1,
    )


def test_other_bytes_under_custom_id_are_refused(client: httpx.Client, batch_id: str) -> None:
    upload(client, batch_id, {"a": picture()})
    answer = upload(client, batch_id, {"a": picture(1)})[0]
    assert (answer["status"], answer["error"]["code"]) == ("refused", "duplicate_custom_id")


def test_duplicates_within_a_request(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    parts = [("a", picture()), ("a", picture()), ("a", picture(1))]
    answers = post(client, batch_id, *parts).json()["data"]
    assert [answer["status"] for answer in answers] == ["accepted", "duplicate", "refused"]
    assert (answers[0]["item_id"] == answers[1]["item_id"], count_items(engine, batch_id)) == (True, 1)


def test_same_image_twice_is_one_image(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    answers = upload(client, batch_id, {"a": picture(21), "b": picture(21)})
    with transaction(engine) as session:
        images = session.scalar(select(func.count()).where(Image.sha256 == answers[0]["sha256"]))
    assert ([a["status"] for a in answers], images, count_items(engine, batch_id)) == (["accepted"] * 2, 1, 2)


def test_parallel_uploads_lose_nothing(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    def send(start: int) -> list[dict[str, Any]]:
        return upload(client, batch_id, {str(n): picture(n % 10) for n in range(start, start + 30)})

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for part in pool.map(send, (0, 15, 30, 45)) for answer in part]
    assert {answer["status"] for answer in answers} == {"accepted", "duplicate"}
    assert (sum(a["status"] == "accepted" for a in answers), count_items(engine, batch_id)) == (75, 75)


def test_unknown_batch_takes_nothing(client: httpx.Client) -> None:
    assert post(client, str(uuid4()), ("a", picture())).json()["code"] == "batch_not_found"


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "unsupported_media_type"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 400, "malformed_multipart"),
        ("multipart/form-data; boundary=x", b"nonsense", 400, "malformed_multipart"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n--x--\r\n',
            400,
            "malformed_multipart",
        ),
    ],
)
def test_other_bodies_are_refused(
    client: httpx.Client, batch_id: str, content_type: str, body: bytes, status: int, code: str
) -> None:
    headers = {"Content-Type": content_type}
    answer = client.post(f"/v1/batches/{batch_id}/images", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_truncated_body_keeps_whole_files(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    body = encode("a", picture()) + encode("b", picture(1))
    answer = client.post(f"/v1/batches/{batch_id}/images", content=body[:-200], headers=MULTIPART)
    assert (answer.status_code, count_items(engine, batch_id)) == (400, 1)


def test_disconnect_keeps_whole_files(
    base_url: str, make_key: Callable[..., str], client: httpx.Client, engine: Engine, batch_id: str
) -> None:
    body = b"".join(encode(str(n), picture(n)) for n in range(10))
    head = (
        f"POST /v1/batches/{batch_id}/images HTTP/1.1\r\nHost: leaktrace\r\nAuthorization: Bearer {make_key()}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body) * 2}\r\n\r\n"
    )
    address = urlsplit(base_url)
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        connection.sendall(head.encode() + body[:-100])
    until = time.monotonic() + 20
    while count_items(engine, batch_id) < 9 and time.monotonic() < until:
        time.sleep(0.05)
    assert count_items(engine, batch_id) == 9
    again = upload(client, batch_id, {str(n): picture(n) for n in range(10)})
    assert [answer["status"] for answer in again] == ["duplicate"] * 9 + ["accepted"]


def test_file_over_limit_is_refused(settings: Settings, make_client: MakeClient) -> None:
    with serve_app(settings.model_copy(update={"max_image_bytes": 1000})) as url:
        client = make_client(url=url)
        answers = upload(client, create_batch(client), {"a": picture(), "b": picture(side=16)[:900]})
    assert [a["error"]["code"] if a["error"] else None for a in answers] == ["too_many_bytes", None]


def test_too_many_files_are_refused(settings: Settings, make_client: MakeClient, engine: Engine) -> None:
    with serve_app(settings.model_copy(update={"max_images_per_request": 3})) as url:
        client = make_client(url=url)
        batch_id = create_batch(client)
        answer = post(client, batch_id, *((str(n), picture(n)) for n in range(4)))
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_files")
    assert count_items(engine, batch_id) == 3


def test_full_batch_refuses_the_rest(settings: Settings, make_client: MakeClient) -> None:
    with serve_app(settings.model_copy(update={"max_images_per_batch": 2})) as url:
        client = make_client(url=url)
        answers = upload(client, create_batch(client), {str(n): picture(n) for n in range(3)})
    assert [a["error"]["code"] if a["error"] else None for a in answers] == [None, None, "batch_full"]


def test_absent_store_is_a_problem(settings: Settings, make_client: MakeClient, engine: Engine) -> None:
    with serve_app(settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})) as url:
        client = make_client(url=url)
        batch_id = create_batch(client)
        answer = post(client, batch_id, ("a", picture()))
    assert (answer.status_code, answer.json()["code"]) == (503, "object_store_unavailable")
    assert (answer.headers["Content-Type"], count_items(engine, batch_id)) == ("application/problem+json", 0)


def test_refused_bytes_do_not_stay(
    client: httpx.Client, engine: Engine, store: S3ObjectStore, batch_id: str
) -> None:
    upload(client, batch_id, {"a": picture(61)})
    answer = upload(client, batch_id, {"a": picture(62)})[0]
    with transaction(engine) as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "acme")).one()
    assert answer["error"]["code"] == "duplicate_custom_id"
    with pytest.raises(ObjectMissing):
        store.size(image_key(tenant_id, answer["sha256"]))


def test_refused_bytes_stay_where_used(
    client: httpx.Client, engine: Engine, store: S3ObjectStore, batch_id: str
) -> None:
    upload(client, batch_id, {"a": picture(63), "b": picture(64)})
    answer = upload(client, batch_id, {"a": picture(64)})[0]
    with transaction(engine) as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "acme")).one()
    assert (answer["status"], store.size(image_key(tenant_id, answer["sha256"])) > 0) == ("refused", True)


def test_large_refused_body_is_answered(client: httpx.Client) -> None:
    answer = post(client, str(uuid4()), ("a", picture() + bytes(20_000_000)))
    assert (answer.status_code, answer.json()["code"]) == (404, "batch_not_found")


def test_deletion_meanwhile_is_noticed(
    client: httpx.Client, engine: Engine, store: S3ObjectStore, batch_id: str
) -> None:
    shared = picture(65)
    other = create_batch(client)
    upload(client, other, {"a": shared})
    client.post(f"/v1/batches/{other}/cancel")

    def body() -> Iterator[bytes]:
        begun = encode("a", shared) + encode("b", picture(67))
        yield begun[:-100]  # the first file is complete, so it is stored now
        time.sleep(0.5)
        assert client.delete(f"/v1/batches/{other}").status_code == 202
        Deleter(engine=engine, store=store).run()
        yield begun[-100:] + b"--x--\r\n"

    answer = client.post(f"/v1/batches/{batch_id}/images", content=body(), headers=MULTIPART)
    assert (answer.status_code, answer.json()["code"]) == (503, "object_missing")
    assert upload(client, batch_id, {"a": shared})[0]["status"] == "accepted"


def test_batch_closed_meanwhile_takes_nothing(client: httpx.Client, engine: Engine, batch_id: str) -> None:
    def body() -> Iterator[bytes]:
        yield encode("a", picture(66)) + b"--x"
        assert client.post(f"/v1/batches/{batch_id}/close").status_code == 202
        yield b"--\r\n"

    answer = client.post(f"/v1/batches/{batch_id}/images", content=body(), headers=MULTIPART)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_batch_state")
    assert count_items(engine, batch_id) == 0
