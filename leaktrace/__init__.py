"""Leaktrace finds out which generator made an image.

The shared library: the science, the records, the object store, the queue and the client. It imports nothing
from `api` or `worker`, which build the service out of it.
"""

import os

__version__ = "0.1.0"

# torch's threads wait for one another by spinning unless told otherwise before torch is loaded. On a machine whose
# cores also decode, store and serve, that made a batch take up to twenty times as long. Whoever sets it is obeyed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
