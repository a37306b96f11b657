"""The Python client of the service: submit images in batches, wait, read what was found.

with Client("http://127.0.0.1:8471", key) as client:
    batch = client.create_batch("holiday")
    for answer in client.upload(batch.id, files_in(Path("photos"))):
        ...
    client.close(batch.id)
    client.wait(batch.id)
    for result in client.results(batch.id):
        print(result.custom_id, result.attribution)
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
from leaktrace.client.client import Client
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

__all__ = [
    "ApiProblem",
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
    "UnexpectedAnswer",
    "UnusableFile",
    "UploadFile",
    "WaitTimedOut",
    "files_in",
]
