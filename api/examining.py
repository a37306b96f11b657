"""What image files say of their origin, examined once a process: the same bytes always say the same.

At most two files are examined at a time, a process each, so that many requests cannot take the machine. The facts of
the newest files are kept by content hash; whoever asks has shown before that the image is theirs.
"""

from collections import OrderedDict
from threading import BoundedSemaphore, Lock

from leaktrace.objects import ObjectStore, image_key
from leaktrace.provenance import Provenance, ProvenanceReader
from leaktrace.records.models import Image

EXAMINED_AT_ONCE = 2
KEPT = 512

_places = BoundedSemaphore(EXAMINED_AT_ONCE)
_kept: OrderedDict[str, Provenance] = OrderedDict()
_lock = Lock()


def examine(image: Image, store: ObjectStore, reader: ProvenanceReader) -> Provenance:
    """The provenance of an image's file.

    Raises:
        ObjectMissing: its bytes are not kept any more. ObjectStoreUnavailable: the store is away.
    """
    with _lock:
        known = _kept.get(image.sha256)
    if known is not None:
        return known
    data = store.get(image_key(image.tenant_id, image.sha256))
    with _places:
        found = reader.read(data)
    if found.credentials.state != "unreadable":  # which may have been a matter of time
        with _lock:
            _kept[image.sha256] = found
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
    return found
