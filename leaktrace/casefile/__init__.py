"""Case reports: one HTML file about an image or a batch, whose every part is a link of a hash chain.

Writing one needs what the service knows, verifying one nothing but the file. Knows nothing of databases or HTTP.
"""

from leaktrace.casefile.chain import FIRST, Link
from leaktrace.casefile.page import ReportWriter, Subject
from leaktrace.casefile.verification import ChainBroken, Verified, verify

__all__ = ["FIRST", "ChainBroken", "Link", "ReportWriter", "Subject", "Verified", "verify"]
