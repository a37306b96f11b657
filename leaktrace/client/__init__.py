"""The Python client of the service: submit images in batches, wait, read what was found.

with Client("http://127.0.0.1:8471", key) as client:
    batch = client.submit_folder(Path("photos"), journal=Path("photos.upload")).batch
    client.wait(batch.id)
    for result in client.results(batch.id):
        print(result.custom_id, result.attribution)

`AsyncClient` has the same methods, awaited. More, with examples: docs/client.md.
"""

from leaktrace.client.answers import (
    Attribution,
    Batch,
    Counts,
    FileAnswer,
    Generator,
    ImageFacts,
    PresignedAnswer,
    Problem,
    Result,
    RetryAnswer,
)
from leaktrace.client.client import AsyncClient, Client
from leaktrace.client.errors import (
    ApiProblem,
    ReportTruncated,
    ResultsTruncated,
    ServiceUnreachable,
    UnexpectedAnswer,
    WaitTimedOut,
)
from leaktrace.client.files import UnusableFile, UploadFile
from leaktrace.client.retrying import RetryRules
from leaktrace.client.sources import files_in
from leaktrace.client.submitting import Submission

__all__ = [
    "ApiProblem",
    "AsyncClient",
    "Attribution",
    "Batch",
    "Client",
    "Counts",
    "FileAnswer",
    "Generator",
    "ImageFacts",
    "PresignedAnswer",
    "Problem",
    "ReportTruncated",
    "Result",
    "ResultsTruncated",
    "RetryAnswer",
    "RetryRules",
    "ServiceUnreachable",
    "Submission",
    "UnexpectedAnswer",
    "UnusableFile",
    "UploadFile",
    "WaitTimedOut",
    "files_in",
]
