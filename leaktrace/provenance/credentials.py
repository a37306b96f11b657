"""C2PA Content Credentials of a file, by c2pa-python. Runs in the reading process alone, and asks no other host."""

import json
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from c2pa import C2paError, Context, Reader

from leaktrace.provenance.facts import MAX_ENTRIES, Credentials, told

OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
REMOTE = "Remote:"  # how c2pa says that it would have to fetch the manifest; no class of its own tells it
UNTRUSTED = "signingCredential.untrusted"
MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}


def read_credentials(data: bytes, image_format: str) -> Credentials:
    """What the file's manifest says and whether it holds."""
    try:
        with (
            Context.from_dict(OFFLINE) as context,
            Reader(MEDIA_TYPES[image_format], BytesIO(data), context=context) as reader,
        ):
            return _described(json.loads(reader.json()))
    except C2paError.ManifestNotFound:  # type: ignore[attr-defined]  # it is added later
        return Credentials(state="absent")
    except (C2paError, ValueError) as error:
        if str(error).startswith(REMOTE):
            return Credentials(state="present")
        if b"jumb" not in data:
            return Credentials(state="unreadable", problems=[told(error)])
        return Credentials(state="invalid", problems=[told(error)])


def _described(store: dict[str, Any]) -> Credentials:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    failures = [str(status.get("code")) for status in store.get("validation_status") or []]
    signature = manifest.get("signature_info") or {}
    actions = [action for each in _assertions(manifest, "c2pa.actions") for action in each.get("actions", [])]
    sources = {str(action.get("digitalSourceType", "")).rsplit("/", 1)[-1]: None for action in actions}
    return Credentials(
        state="invalid" if store.get("validation_state") == "Invalid" else "valid",
        signer=_text(signature.get("common_name")),
        organisation=_text(signature.get("issuer")),
        is_signer_trusted=store.get("validation_state") == "Trusted",
        signed_at=_text(signature.get("time")),
        made_with=_list(_program(info) for info in manifest.get("claim_generator_info") or []),
        actions=_list(str(action.get("action", "")) for action in actions),
        source_types=_list(sources),
        problems=_list(dict.fromkeys(code for code in failures if code != UNTRUSTED)),
    )


def _assertions(manifest: dict[str, Any], label: str) -> list[dict[str, Any]]:
    found = [each for each in manifest.get("assertions") or [] if str(each.get("label")).startswith(label)]
    return [each["data"] for each in found if isinstance(each.get("data"), dict)]


def _program(info: dict[str, Any]) -> str:
    return " ".join(str(info[name]) for name in ("name", "version") if info.get(name))


def _text(value: object) -> str | None:
    return told(value) if value else None


def _list(values: Iterable[str]) -> list[str]:
    return [told(value) for value in values if value][:MAX_ENTRIES]
