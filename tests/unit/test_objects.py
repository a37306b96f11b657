"""Keys and error translation of the object store, without a server."""

from io import BytesIO
from uuid import UUID

import boto3
import pytest
from botocore.stub import Stubber

from leaktrace.objects import (
    ObjectMissing,
    ObjectStoreUnavailable,
    S3ObjectStore,
    density_key,
    image_key,
    staged_key,
)

TENANT = UUID(int=1)


@pytest.fixture
def stubbed() -> tuple[S3ObjectStore, Stubber]:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    return S3ObjectStore(client, "bucket"), Stubber(client)


def test_tenants_never_share_keys() -> None:
    assert image_key(TENANT, "ab") != image_key(UUID(int=2), "ab")


def test_staged_and_checked_differ() -> None:
    assert staged_key(TENANT, UUID(int=3)).split("/")[0] != image_key(TENANT, "ab").split("/")[0]


def test_density_key_names_versions() -> None:
    assert density_key("starter-1", "d-2") == "densities/starter-1/d-2.safetensors"


@pytest.mark.parametrize("code", ["NoSuchKey", "404"])
def test_absent_object_is_missing(stubbed: tuple[S3ObjectStore, Stubber], code: str) -> None:
    store, stub = stubbed
    stub.add_client_error("get_object", service_error_code=code)
    with stub, pytest.raises(ObjectMissing, match="upload the image again") as caught:
        store.get("images/x")
    assert caught.value.key == "images/x"


def test_refusal_is_not_missing(stubbed: tuple[S3ObjectStore, Stubber]) -> None:
    store, stub = stubbed
    stub.add_client_error("put_object", service_error_code="AccessDenied")
    with stub, pytest.raises(ObjectStoreUnavailable, match="refused"):
        store.put("k", BytesIO(b"x"), content_type="image/png")


def test_partial_delete_is_reported(stubbed: tuple[S3ObjectStore, Stubber]) -> None:
    store, stub = stubbed
    stub.add_response("delete_objects", {"Errors": [{"Key": "a", "Code": "InternalError"}]})
    with stub, pytest.raises(ObjectStoreUnavailable, match="1 objects could not be deleted"):
        store.delete(["a"])


def test_deleting_nothing_asks_nothing(stubbed: tuple[S3ObjectStore, Stubber]) -> None:
    store, stub = stubbed
    with stub:
        store.delete([])


def test_unreachable_endpoint_is_unavailable() -> None:
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=boto3.session.Config(retries={"max_attempts": 1}, connect_timeout=1),
    )
    with pytest.raises(ObjectStoreUnavailable, match="did not answer"):
        S3ObjectStore(client, "bucket").check()
