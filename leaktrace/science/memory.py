"""Tells glibc to keep freed memory, so that large tensors are not faulted in page by page at every step.

Measured at 1.5 to 2.2 times the speed of convolutions on a CPU with identical results. It changes the whole process
and memory never shrinks again, so commands and worker processes ask for it and a library does not.
"""

import ctypes
import sys

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Ask for it where glibc runs; returns whether it was granted."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))
