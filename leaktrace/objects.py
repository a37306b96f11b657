"""Where the bytes of images and artefacts live: the `ObjectStore` port and its S3 implementation (boto3).

Keys are chosen by the caller (`image_key`, `staged_key`, `density_key`); an image's key is its tenant and SHA-256, so
storing the same bytes twice is harmless. Knows nothing of batches, databases or image formats.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from leaktrace.errors import Unavailable
from leaktrace.settings import Settings

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 30
MAX_CONNECTIONS = 32
DELETE_LIMIT = 1000  # of S3's DeleteObjects
PIECE_BYTES = 256 * 1024
DENSITY_PREFIX = "densities/"
TENANT_KEY = re.compile(
    r"(images|thumbnails|staged)/(?P<tenant>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})/[^/]+"
)
MISSING_CODES = frozenset({"404", "NoSuchKey", "NotFound"})


class ObjectStoreUnavailable(Unavailable):
    """The object store did not answer, or refused us; check its address and credentials, then try again."""

    code = "object_store_unavailable"


class ObjectMissing(Unavailable):
    """No object has this key; upload it again."""

    code = "object_missing"

    def __init__(self, key: str) -> None:
        super().__init__(f"no object is stored under {key!r}; upload the image again")
        self.key = key


@dataclass(frozen=True)
class PresignedPost:
    """What a client needs to post one file straight to the store: the form's address and its fields."""

    url: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class OpenedObject:
    """An object that is being read: its length, and its bytes in pieces. Read to the end, or closed, it lets go."""

    size_bytes: int
    pieces: Iterator[bytes]


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it."""

    key: str
    modified_at: datetime


class ObjectStore(Protocol):
    """All that Leaktrace asks of an object store. Implementations raise only the two errors above."""

    def put(self, key: str, body: bytes | IO[bytes], *, content_type: str) -> None:
        """Store the object whole; an existing one under the key is replaced."""

    def get(self, key: str) -> bytes:
        """The object's bytes; `ObjectMissing` when there is none."""

    def open(self, key: str) -> OpenedObject:
        """The object piece by piece, so that memory stays flat; `ObjectMissing` when there is none."""

    def size(self, key: str) -> int:
        """The object's length in bytes; `ObjectMissing` when there is none."""

    def copy(self, source: str, target: str) -> None:
        """Copy inside the store, without moving bytes through here."""

    def delete(self, keys: list[str]) -> None:
        """Delete all of them; those that do not exist are no error."""

    def list_page(self, *, after: str, limit: int) -> list[StoredObject]:
        """At most `limit` (1000) objects behind the key `after`, in the order of their keys; none at the end."""

    def presign_post(self, key: str, *, max_bytes: int, expires_seconds: int) -> PresignedPost:
        """Allow one POST of at most `max_bytes` under exactly this key until it expires."""

    def public_origin(self) -> str:
        """Scheme, host and port of the addresses that `presign_post` gives."""

    def check(self) -> None:
        """Raise `ObjectStoreUnavailable` unless the bucket answers."""


class S3ObjectStore:
    """An `ObjectStore` in one bucket of any S3-compatible server."""

    def __init__(self, client: "S3Client", bucket: str, *, public_client: "S3Client | None" = None) -> None:
        self._client = client
        self._bucket = bucket
        self._public_client = public_client or client

    def put(self, key: str, body: bytes | IO[bytes], *, content_type: str) -> None:
        """See `ObjectStore.put`; boto3 adds a checksum that the server verifies."""
        with _translated(key):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)

    def get(self, key: str) -> bytes:
        """See `ObjectStore.get`."""
        with _translated(key):
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def open(self, key: str) -> OpenedObject:
        """See `ObjectStore.open`."""
        with _translated(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        return OpenedObject(answer["ContentLength"], _pieces(key, answer["Body"]))

    def size(self, key: str) -> int:
        """See `ObjectStore.size`."""
        with _translated(key):
            return self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]

    def copy(self, source: str, target: str) -> None:
        """See `ObjectStore.copy`."""
        with _translated(source):
            origin: Any = {"Bucket": self._bucket, "Key": source}
            self._client.copy_object(Bucket=self._bucket, Key=target, CopySource=origin)

    def delete(self, keys: list[str]) -> None:
        """See `ObjectStore.delete`."""
        for start in range(0, len(keys), DELETE_LIMIT):
            chunk: Any = {
                "Objects": [{"Key": key} for key in keys[start : start + DELETE_LIMIT]],
                "Quiet": True,
            }
            with _translated(keys[start]):
                answer = self._client.delete_objects(Bucket=self._bucket, Delete=chunk)
            if answer.get("Errors"):
                raise ObjectStoreUnavailable(
                    f"{len(answer['Errors'])} objects could not be deleted; try again"
                )

    def list_page(self, *, after: str, limit: int) -> list[StoredObject]:
        """See `ObjectStore.list_page`."""
        with _translated(self._bucket):
            page = self._client.list_objects_v2(Bucket=self._bucket, StartAfter=after, MaxKeys=limit)
        return [StoredObject(entry["Key"], entry["LastModified"]) for entry in page.get("Contents", [])]

    def presign_post(self, key: str, *, max_bytes: int, expires_seconds: int) -> PresignedPost:
        """See `ObjectStore.presign_post`; signed for the endpoint that clients reach."""
        conditions: list[Any] = [["content-length-range", 1, max_bytes]]
        with _translated(key):
            post = self._public_client.generate_presigned_post(
                self._bucket, key, Conditions=conditions, ExpiresIn=expires_seconds
            )
        return PresignedPost(url=post["url"], fields=post["fields"])

    def public_origin(self) -> str:
        """See `ObjectStore.public_origin`."""
        parts = urlsplit(self._public_client.meta.endpoint_url)
        return f"{parts.scheme}://{parts.netloc}"

    def check(self) -> None:
        """See `ObjectStore.check`."""
        with _translated(self._bucket):
            self._client.head_bucket(Bucket=self._bucket)


def connect_store(settings: Settings) -> S3ObjectStore:
    """The store that the settings name. Opens no connection yet."""
    public_endpoint = settings.s3_public_endpoint_url
    return S3ObjectStore(
        _client(settings, settings.s3_endpoint_url),
        settings.s3_bucket,
        public_client=_client(settings, public_endpoint) if public_endpoint else None,
    )


def image_key(tenant_id: UUID, sha256: str) -> str:
    """Content-addressed within a tenant, so that one tenant can never read or overwrite another's bytes."""
    return f"images/{tenant_id}/{sha256}"


def staged_key(tenant_id: UUID, item_id: UUID) -> str:
    """Where a presigned upload lands until a worker has checked its hash."""
    return f"staged/{tenant_id}/{item_id}"


def thumbnail_key(tenant_id: UUID, sha256: str) -> str:
    """A small picture of an image that a person should look at; made by workers, deleted with the image."""
    return f"thumbnails/{tenant_id}/{sha256}"


def density_key(model_version: str, density_version: str) -> str:
    """Where a density artefact of a model version is published."""
    return f"{DENSITY_PREFIX}{model_version}/{density_version}.safetensors"


def owner_of(key: str) -> UUID | None:
    """The tenant whose images, thumbnails or staged uploads the key belongs to; None for any other key."""
    match = TENANT_KEY.fullmatch(key)
    return UUID(match["tenant"]) if match else None


def manifest_key(model_version: str, sha256: str) -> str:
    """Where the list of the confirmed images is kept that a density was fitted with."""
    return f"densities/{model_version}/manifests/{sha256}.ndjson"


def _client(settings: Settings, endpoint_url: str | None) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key.get_secret_value(),
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            max_pool_connections=MAX_CONNECTIONS,
            retries={"mode": "standard", "max_attempts": 4},
        ),
    )


def _pieces(key: str, body: "StreamingBody") -> Iterator[bytes]:
    with closing(body), _translated(key):
        yield from body.iter_chunks(PIECE_BYTES)


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in MISSING_CODES:
            raise ObjectMissing(key) from error
        raise ObjectStoreUnavailable(f"the object store refused the request: {error}") from error
    except (BotoCoreError, OSError) as error:
        raise ObjectStoreUnavailable(f"the object store did not answer: {error}") from error
