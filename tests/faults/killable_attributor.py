"""An Attributor that can be slow, fail or be killed by an image, for the fault tests.

An image carries its fault as trailing bytes, which no decoder reads: `KILL` ends the process as the kernel's
out-of-memory killer would, `FAIL` makes the model raise.
"""

import os
import signal
import time
from collections.abc import Sequence

from leaktrace.science.images import DecodeLimits, Show
from leaktrace.science.preprocessing import PreparedImage
from tests.attributors import FakeAttribution, FakeAttributor

KILL = b"fault: kill"
FAIL = b"fault: fail"
SECONDS_AN_IMAGE = float(os.environ.get("TEST_SECONDS_AN_IMAGE", "0"))


class KillableAttributor(FakeAttributor):
    def __init__(self) -> None:
        super().__init__()
        self.failing: set[str] = set()

    def prepare(
        self, data: bytes, *, limits: DecodeLimits | None = None, show: Show | None = None
    ) -> PreparedImage:
        if data.endswith(KILL):
            os.kill(os.getpid(), signal.SIGKILL)
        prepared = super().prepare(data, limits=limits, show=show)
        if data.endswith(FAIL):
            self.failing.add(prepared.sha256)
        return prepared

    def attribute(self, images: Sequence[PreparedImage]) -> list[FakeAttribution]:
        time.sleep(SECONDS_AN_IMAGE * len(images))
        if any(image.sha256 in self.failing for image in images):
            raise RuntimeError("an image that the model cannot do")
        return super().attribute(images)
