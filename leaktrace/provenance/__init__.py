"""What an image file says of its own origin: EXIF, text chunks, and C2PA Content Credentials.

Shown beside a verdict and never used for one: the science cannot import this. Files are read in a process of their own,
with neither secrets nor room to do harm, since whoever submits an image may have made it for the reader.
"""

from leaktrace.provenance.facts import Credentials, Entry, Exif, Provenance
from leaktrace.provenance.reader import ProvenanceReader

__all__ = ["Credentials", "Entry", "Exif", "Provenance", "ProvenanceReader"]
