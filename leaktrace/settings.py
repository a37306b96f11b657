"""The one typed description of how Leaktrace is configured.

Values come from the environment (prefix `LEAKTRACE_`). Only the edges read it: the two `app.py`, the migrations and
the command line; below them plain arguments travel. Every value has a default that works with `make demo`, except
the addresses and secrets of the three servers, which the embedded stack or the operator sets.
"""

from functools import cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _parts_of_list(value: object) -> object:
    """Text as an environment variable holds it, cut at its commas; anything else as it is."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


class Settings(BaseSettings):
    """All settings of the API, the worker, beat and the command line."""

    model_config = SettingsConfigDict(env_prefix="LEAKTRACE_", extra="ignore", frozen=True)

    # The three servers.
    database_url: SecretStr = Field(description="postgresql+psycopg://user:password@host:port/database")
    broker_url: SecretStr = Field(description="redis://:password@host:port/0")
    s3_endpoint_url: str | None = Field(None, description="Leave unset for Amazon's own endpoint.")
    s3_access_key: SecretStr = Field(description="Access key of the bucket.")
    s3_secret_key: SecretStr = Field(description="Secret key of the bucket.")
    s3_bucket: str = "leaktrace"
    s3_region: str = "us-east-1"
    s3_public_endpoint_url: str | None = Field(
        None,
        description="The endpoint as clients reach it, put into presigned uploads; default s3_endpoint_url.",
    )

    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_parts_of_list)] = Field(
        (), description="Seal stored secrets, the newest first; with commas between."
    )

    # The API.
    log_level: str = "INFO"
    database_pool_size: int = Field(10, ge=1)
    max_image_bytes: int = Field(64_000_000, ge=1, description="A larger file is refused as too_many_bytes.")
    max_image_pixels: int = Field(
        120_000_000, ge=1, description="More pixels are refused as too_many_pixels."
    )
    max_images_per_request: int = Field(1_000, ge=1, description="Files in one multipart request.")
    max_images_per_batch: int = Field(100_000, ge=1)
    max_request_body_bytes: int = Field(1_000_000, ge=1, description="Bodies that are not uploads.")
    daily_image_quota: int = Field(1_000_000, ge=0, description="Images a tenant may submit in 24 hours.")
    max_backlog_images: int = Field(
        1_000_000, ge=1, description="New batches are refused beyond this backlog."
    )
    batch_expires_after_hours: int = Field(24, ge=1, description="An unclosed or unfinished batch expires.")
    idempotency_keep_hours: int = Field(48, ge=24)
    presigned_upload_minutes: int = Field(60, ge=1)
    webhooks_per_tenant: int = Field(20, ge=0)
    webhook_allowed_networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_parts_of_list)
    ] = Field((), description="May be sent to although not public, and without TLS; with commas between.")

    # The console.
    console_url: str | None = Field(
        None,
        description="Scheme and host under which browsers reach it; default: the Host header of each request.",
    )
    console_idle_minutes: int = Field(60, ge=1, description="A session at rest this long is over.")
    console_session_hours: int = Field(12, ge=1, description="Any session is over after this long.")
    console_blur_thumbnails: bool = Field(True, description="Thumbnails show once they are pointed at.")

    review_lease_seconds: int = Field(300, ge=10, description="An image lies before one reviewer this long.")

    # The worker.
    model: str = Field("starter", description="Name of a shipped model or a model folder.")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    torch_threads: int | None = Field(None, ge=1, description="CPU threads of torch; default: one a core.")
    shard_images: int = Field(64, ge=1, le=256, description="Images in one queue message.")
    lease_seconds: int = Field(
        60, ge=2, description="A worker that does not renew its lease this long is dead."
    )
    max_attempts: int = Field(
        3, ge=1, description="Times an image may take a worker down before it is failed."
    )
    decode_threads: int = Field(4, ge=1)
    max_batch_images: int = Field(32, ge=1, description="Largest batch of the GPU executor.")
    progress_path: Path | None = Field(None, description="File the worker touches as it makes progress.")

    # Beat.
    sweep_interval_seconds: float = Field(10.0, gt=0)
    expiry_interval_seconds: float = Field(60.0, gt=0)
    refit_interval_seconds: float = Field(3600.0, gt=0)
    discovery_interval_seconds: float = Field(600.0, gt=0)
    enrolment_interval_seconds: float = Field(5.0, gt=0)
    deletion_interval_seconds: float = Field(2.0, gt=0)
    tidy_interval_seconds: float = Field(600.0, gt=0)
    tidy_grace_hours: float = Field(
        48.0, ge=3, description="Objects that no row names are deleted once they are this old."
    )
    challenge_interval_seconds: float = Field(10.0, gt=0)
    refit_max_age_days: float = Field(
        30.0, gt=0, description="An older density is fitted again on few images."
    )
    confirmed_per_day: int = Field(2_000, ge=0, description="A tenant's confirmed images that count, a day.")
    confirmed_age_seconds: float = Field(3600.0, ge=0, description="Labels count once they are this old.")
    shadow_images: int = Field(500, ge=1, description="Named live images that decide on a density in shadow.")
    shadow_hours: float = Field(72.0, ge=0, description="It is decided then on what there was.")
    delivery_interval_seconds: float = Field(2.0, gt=0)
    map_interval_seconds: float = Field(10.0, gt=0)
    webhook_timeout_seconds: float = Field(15.0, gt=0, description="For the whole of one try.")
    quarantine_per_tenant: int = Field(
        20_000, ge=0, description="Images without a name held for a tenant at a time."
    )
    quarantine_per_batch: int = Field(1_000, ge=0, description="Of those, from one batch.")
    quarantine_per_day: int = Field(2_000, ge=0, description="Of those, from one day (UTC).")
    quarantine_age_seconds: float = Field(
        3600.0, ge=0, description="Such images are looked at once they are this old."
    )
    keep_results_days: float | None = Field(
        None, gt=0, description="Finished batches are deleted with their results after this long."
    )
    keep_embeddings_days: float | None = Field(
        None, gt=0, description="Embeddings are emptied after this long."
    )
    keep_quarantine_days: float | None = Field(
        None, gt=0, description="Quarantine entries go after this long."
    )
    rescore_interval_seconds: float = Field(5.0, gt=0)
    drift_interval_seconds: float = Field(3600.0, gt=0)
    drift_recent_hours: float = Field(24.0, gt=0, description="The window that is looked at for drift.")
    drift_trailing_hours: float = Field(168.0, gt=0, description="The window before, compared with.")
    drift_images_per_tenant: int = Field(500, ge=1, description="A tenant's images that count in a window.")
    golden_batch: UUID | None = Field(
        None, description="A batch of held-out images whose custom ids begin with `generator/`."
    )
    density_stale_after_seconds: float = Field(86_400.0, gt=0)


@cache
def load_settings() -> Settings:
    """Read the environment once a process."""
    return Settings()
