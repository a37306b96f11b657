"""Owns the embedded servers on the directory given, and answers one word a line on standard input until it ends.

Run as a process by the tests of lifetimes: `write` leaves a row, a message and an object; `read` gives them back.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import boto3
import psycopg
import redis

from deploy.embedded.servers import EmbeddedServers


def environment(servers: EmbeddedServers) -> dict[str, Any]:
    return dict(servers.environment())


def write(servers: EmbeddedServers) -> dict[str, Any]:
    with _database(servers) as connection:
        connection.execute("CREATE TABLE kept (value text)")
        connection.execute("INSERT INTO kept VALUES ('kept')")
    with redis.Redis.from_url(servers.valkey.url) as broker:
        broker.rpush("kept", "kept")
    _store(servers).put_object(Bucket=servers.seaweed.bucket, Key="kept", Body=b"kept")
    return {}


def read(servers: EmbeddedServers) -> dict[str, Any]:
    with _database(servers) as connection:
        row = connection.execute("SELECT value FROM kept").fetchone()
    with redis.Redis.from_url(servers.valkey.url, decode_responses=True) as broker:
        message = broker.lindex("kept", 0)
    body = _store(servers).get_object(Bucket=servers.seaweed.bucket, Key="kept")["Body"].read()
    return {"row": row and row[0], "message": message, "object": body.decode()}


def whoami(servers: EmbeddedServers) -> dict[str, Any]:
    """The user of this process and of each server's files, which root's Postgres keeps elsewhere."""
    directories = [servers.valkey.directory, servers.postgres.directory, servers.seaweed.directory]
    inside = [directory.resolve().is_relative_to(servers.data_dir.resolve()) for directory in directories]
    return {"uid": os.geteuid(), "inside": inside}


def _database(servers: EmbeddedServers) -> "psycopg.Connection[tuple[Any, ...]]":
    return psycopg.connect(servers.postgres.url.replace("postgresql+psycopg", "postgresql"))


def _store(servers: EmbeddedServers) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=servers.seaweed.endpoint_url,
        aws_access_key_id=servers.seaweed.access_key,
        aws_secret_access_key=servers.seaweed.secret_key,
        region_name=servers.seaweed.region,
    )


ANSWERS = {answer.__name__: answer for answer in (environment, write, read, whoami)}

if __name__ == "__main__":
    with EmbeddedServers(Path(sys.argv[1])) as owned:
        print("{}", flush=True)
        for line in sys.stdin:
            print(json.dumps(ANSWERS[line.strip()](owned)), flush=True)
