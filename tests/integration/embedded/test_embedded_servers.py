"""The embedded servers while they run: what is served, to whom, and what restarts and other owners meet."""

import json
import os
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import psycopg
import pytest
import redis
from botocore.exceptions import ClientError

from deploy.embedded.data_directory import GRPC_OFFSET, DataDirectoryInUse
from deploy.embedded.server import EmbeddedServer
from deploy.embedded.servers import EmbeddedServers

# The preface of RFC 9113, section 3.4, and an empty SETTINGS frame.
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
SECRET_OBJECT = b"nobody reads this without credentials"


@pytest.fixture
def stored_key(servers: EmbeddedServers, s3_bucket: str) -> str:
    _s3(servers).put_object(Bucket=s3_bucket, Key="private/object", Body=SECRET_OBJECT)
    return "private/object"


def test_vector_extension_is_there(database_url: str) -> None:
    with psycopg.connect(_libpq(database_url)) as connection:
        distance = connection.execute("SELECT '[1,2]'::vector <-> '[1,5]'::vector").fetchone()
    assert distance == (3.0,)


def test_service_role_is_no_superuser(database_url: str) -> None:
    with psycopg.connect(_libpq(database_url)) as connection:
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (False,)


def test_postgres_refuses_wrong_password(servers: EmbeddedServers) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host="127.0.0.1", port=servers.postgres.port, user="leaktrace", password="guess")


def test_postgres_refuses_missing_password(servers: EmbeddedServers) -> None:
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(host="127.0.0.1", port=servers.postgres.port, user="postgres")


def test_valkey_refuses_missing_password(servers: EmbeddedServers) -> None:
    with (
        redis.Redis(port=servers.valkey.port) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_valkey_never_evicts(servers: EmbeddedServers) -> None:
    with redis.Redis.from_url(servers.valkey.url, decode_responses=True) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_s3_serves_its_key(servers: EmbeddedServers, s3_bucket: str, stored_key: str) -> None:
    body = _s3(servers).get_object(Bucket=s3_bucket, Key=stored_key)["Body"].read()
    assert body == SECRET_OBJECT


def test_s3_refuses_wrong_secret(servers: EmbeddedServers, s3_bucket: str, stored_key: str) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        _s3(servers, secret_key="guess").get_object(Bucket=s3_bucket, Key=stored_key)


def test_s3_refuses_anonymous_clients(servers: EmbeddedServers, s3_bucket: str, stored_key: str) -> None:
    address = f"{servers.seaweed.endpoint_url}/{s3_bucket}/{stored_key}"
    assert [httpx.get(address).status_code, httpx.put(address, content=b"x").status_code] == [403, 403]


def test_seaweed_listens_where_told(servers: EmbeddedServers) -> None:
    chosen = set(servers.seaweed.ports.values())
    assert _http_ports(servers) == sorted(chosen | {port + GRPC_OFFSET for port in chosen})


def test_no_port_gives_objects(servers: EmbeddedServers, s3_bucket: str, stored_key: str) -> None:
    """Each address at which some part of SeaweedFS would serve or list the object if it served anyone."""
    paths = [f"/{s3_bucket}/{stored_key}", f"/buckets/{s3_bucket}/{stored_key}", f"/buckets/{s3_bucket}/"]
    addresses = [f"http://127.0.0.1:{port}{path}" for port in _http_ports(servers) for path in paths]
    assert [address for address in addresses if _status("GET", address) < 400] == []


def test_no_port_takes_objects(servers: EmbeddedServers, s3_bucket: str) -> None:
    addresses = [f"http://127.0.0.1:{port}/buckets/{s3_bucket}/planted" for port in _http_ports(servers)]
    assert [url for url in addresses if min(_status("PUT", url), _status("POST", url)) < 400] == []


@pytest.mark.usefixtures("stored_key")
def test_volume_needs_signed_read(servers: EmbeddedServers) -> None:
    """The first blobs of the first volumes, as someone who guesses their numbers would ask for them."""
    port = servers.seaweed.ports["volume"]
    statuses = {_status("GET", f"http://127.0.0.1:{port}/{volume},0100000000") for volume in range(1, 8)}
    assert statuses == {401}


def test_grpc_answers_its_own_parts(servers: EmbeddedServers) -> None:
    """Without which the next test would show nothing."""
    ports = [port + GRPC_OFFSET for port in servers.seaweed.ports.values()]
    assert [port for port in ports if not _speaks_grpc(port, certificate=servers.seaweed.directory)] == []


def test_grpc_answers_nobody_else(servers: EmbeddedServers) -> None:
    ports = [port + GRPC_OFFSET for port in servers.seaweed.ports.values()]
    assert [port for port in ports if _speaks_grpc(port, certificate=None)] == []


def test_everything_listens_on_loopback(servers: EmbeddedServers) -> None:
    listening = {
        connection.laddr.ip
        for server in (servers.valkey, servers.postgres, servers.seaweed)
        for connection in psutil.Process(server.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_secrets_are_on_no_command_line(servers: EmbeddedServers) -> None:
    secrets = json.loads((servers.data_dir / "secrets.json").read_text()).values()
    pids = [server.pid for server in (servers.valkey, servers.postgres, servers.seaweed)]
    lines = " ".join(" ".join(psutil.Process(pid).cmdline()) for pid in pids)
    assert [secret for secret in secrets if secret in lines] == []


def test_data_directory_is_private(servers: EmbeddedServers) -> None:
    assert stat.S_IMODE(servers.data_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "name", ["secrets.json", "ports.json", "owner.lock", "seaweedfs/s3.json", "seaweedfs/own.key"]
)
def test_credential_files_are_private(servers: EmbeddedServers, name: str) -> None:
    assert stat.S_IMODE((servers.data_dir / name).stat().st_mode) == 0o600


def test_second_owner_is_refused(servers: EmbeddedServers) -> None:
    """A lock belongs to an open file, so a second one in this very process meets what another process would."""
    with pytest.raises(DataDirectoryInUse, match=str(os.getpid())):
        EmbeddedServers(servers.data_dir).start()


@pytest.mark.parametrize("name", ["valkey", "postgres", "seaweed"])
def test_restart_keeps_the_address(servers: EmbeddedServers, name: str) -> None:
    server: EmbeddedServer = getattr(servers, name)
    before, pid = servers.environment(), server.pid
    server.kill()
    server.restart()
    assert server.pid != pid
    assert server.is_ready()
    assert servers.environment() == before


def _libpq(database_url: str) -> str:
    return database_url.replace("postgresql+psycopg", "postgresql")


def _s3(servers: EmbeddedServers, *, secret_key: str | None = None) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=servers.seaweed.endpoint_url,
        aws_access_key_id=servers.seaweed.access_key,
        aws_secret_access_key=secret_key or servers.seaweed.secret_key,
        region_name=servers.seaweed.region,
    )


def _http_ports(servers: EmbeddedServers) -> list[int]:
    """Every port on which SeaweedFS listens, in plain HTTP or in gRPC."""
    connections = psutil.Process(servers.seaweed.pid).net_connections(kind="tcp")
    return sorted({item.laddr.port for item in connections if item.status == psutil.CONN_LISTEN})


def _status(method: str, url: str) -> int:
    """The answer's status; 500 where the port does not speak plain HTTP."""
    try:
        return httpx.request(method, url, content=b"planted" if method != "GET" else None).status_code
    except httpx.TransportError:
        return 500


def _speaks_grpc(port: int, *, certificate: Path | None) -> bool:
    """Whether an HTTP/2 greeting over TLS is answered; `certificate` is the folder with the client's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if certificate is not None:
        context.load_cert_chain(certificate / "own.crt", certificate / "own.key")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            with context.wrap_socket(connection) as secured:
                secured.sendall(HTTP2_GREETING)
                return bool(secured.recv(1))
        except (ssl.SSLError, ConnectionError):
            return False
