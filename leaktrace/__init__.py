"""Leaktrace finds out which generator made an image.

The shared library: the science, the records, the object store, the queue and the client. It imports nothing
from `api` or `worker`, which build the service out of it.
"""

__version__ = "0.1.0"
