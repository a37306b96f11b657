"""What a user does with single images, by their ids: what is known of them, their neighbours, what people say of them.

A part of both clients; see `methods`.
"""

from datetime import datetime
from typing import Any

from pydantic import Field

from leaktrace.client.answers import Answer, Attribution, ImageFacts, Label, LabelKind, NearestImages
from leaktrace.client.flows import Flow
from leaktrace.client.methods import Part, SenderT, given, shared


class Appearance(Answer):
    """An item of a batch that shows the image."""

    batch_id: str
    batch_name: str | None = None
    item_id: str
    custom_id: str
    file_name: str | None = None
    state: str
    error_code: str | None = None
    error_detail: str | None = None
    created_at: datetime


class ShortAnswer(Answer):
    """What one model and density version said of the image."""

    id: str
    model_version: str
    density_version: str
    verdict: str
    generator: str | None = None
    p_value: float
    created_at: datetime


class ImageRecord(ImageFacts):
    """An image, the newest 20 places it was submitted to, and what each model and density version said of it."""

    created_at: datetime
    appearances: list[Appearance]
    answers: list[ShortAnswer]


class Provenance(Answer):
    """What the file says of its own origin, which no verdict uses: EXIF, text chunks, C2PA Content Credentials."""

    image_id: str
    sha256: str
    exif: dict[str, Any]
    texts: list[dict[str, str]] = Field(default_factory=list)
    credentials: dict[str, Any]


class Images(Part[SenderT]):
    """Single images."""

    @shared
    def image(self, image_id: str) -> Flow[ImageRecord]:
        """What is known of one image, and where it was submitted."""
        return self._ask(ImageRecord, "GET", f"/v1/images/{image_id}")

    @shared
    def content(self, image_id: str) -> Flow[bytes]:
        """The file as it was submitted."""
        return self._bytes(f"/v1/images/{image_id}/content")

    @shared
    def thumbnail(self, image_id: str) -> Flow[bytes]:
        """A small picture of it, once a worker has decoded it."""
        return self._bytes(f"/v1/images/{image_id}/thumbnail")

    @shared
    def provenance(self, image_id: str) -> Flow[Provenance]:
        """What the file says of its own origin."""
        return self._ask(Provenance, "GET", f"/v1/images/{image_id}/provenance")

    @shared
    def attribution(self, image_id: str, *, model_version: str | None = None) -> Flow[Attribution]:
        """The latest attribution of one image, or that of a model version."""
        params = given(model_version=model_version)
        return self._ask(Attribution, "GET", f"/v1/images/{image_id}/attribution", params=params)

    @shared
    def nearest(
        self, image_id: str, *, limit: int | None = None, model_version: str | None = None
    ) -> Flow[NearestImages]:
        """The tenant's images that resemble one most, by the embeddings of one model; the nearest first."""
        params = given(limit=limit, model_version=model_version)
        return self._ask(NearestImages, "GET", f"/v1/images/{image_id}/nearest", params=params)

    @shared
    def label(
        self, image_id: str, kind: LabelKind, *, reason: str, generator: str | None = None
    ) -> Flow[Label]:
        """Confirm or correct what was said of an image, or appeal against it.

        A correction without a generator says that no known one made the image.
        """
        body: dict[str, Any] = {"kind": kind, "reason": reason}
        if kind != "confirm":
            body |= {"generator": generator}
        return self._ask_once(Label, f"/v1/images/{image_id}/labels", body)

    @shared
    def withdraw(self, image_id: str, label_id: str, *, reason: str) -> Flow[Label]:
        """Take back what was said of an image; it stays in the history and counts no longer."""
        body = {"kind": "withdraw", "label_id": label_id, "reason": reason}
        return self._ask_once(Label, f"/v1/images/{image_id}/labels", body)

    @shared
    def labels(self, image_id: str) -> Flow[list[Label]]:
        """All that was said of an image's content, the newest first."""
        return self._list(Label, f"/v1/images/{image_id}/labels")
