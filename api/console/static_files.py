"""The console's own files: styles, scripts, the font and the vendored libraries.

They are read once and served under a path that carries a hash of them all, so that browsers may keep them for ever
and a new release is fetched at once. Nothing outside the folder can be named.
"""

import gzip
import hashlib
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

ROOT = Path(__file__).parent / "static"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
KEPT = "public, max-age=31536000, immutable"
COMPRESSED = frozenset({".css", ".js", ".svg"})

FILES = {
    path.relative_to(ROOT).as_posix(): path.read_bytes()
    for path in sorted(ROOT.rglob("*"))
    if path.suffix in MEDIA_TYPES
}
GZIPPED = {
    name: gzip.compress(body, mtime=0) for name, body in FILES.items() if Path(name).suffix in COMPRESSED
}
RELEASE = hashlib.sha256(b"".join(name.encode() + body for name, body in FILES.items())).hexdigest()[:12]

router = APIRouter()


def asset_path(name: str) -> str:
    """The path of one of our files; a name that does not exist is our own mistake and raises KeyError."""
    FILES[name]
    return f"/console/static/{RELEASE}/{name}"


@router.get("/static/{release}/{name:path}")
def file(release: str, name: str, request: Request) -> Response:
    """One file, compressed where that helps; only the current release is kept by browsers."""
    if name not in FILES:
        raise HTTPException(404)
    headers = {"Cache-Control": KEPT if release == RELEASE else "no-cache", "Vary": "Accept-Encoding"}
    body = FILES[name]
    if name in GZIPPED and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = GZIPPED[name], "gzip"
    return Response(body, media_type=MEDIA_TYPES[Path(name).suffix], headers=headers)
