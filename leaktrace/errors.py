"""The root of every error that Leaktrace raises on purpose.

Each port names its own errors beside itself, as subclasses of the root or of one of the four kinds below, so that
a caller can catch one error, one kind or all of them. What an error knows are attributes; its text says what to do.

    LeaktraceError
    |-- InvalidInput        the caller gave something that cannot be used: ImageRefused (leaktrace.science.images, one
    |                       subclass a reason), DatasetUnreadable and SplitLeak (leaktrace.science.training),
    |                       ArchiveRefused and NoSource (leaktrace.client), ChainBroken (leaktrace.casefile), what
    |                       api/errors.py refuses
    |-- NotFound            no such thing, as far as the caller may know (leaktrace.records)
    |-- Unavailable         a server, object or model that should be there is not: DatabaseUnavailable
    |                       (leaktrace.records.database), ObjectStoreUnavailable and ObjectMissing (leaktrace.objects),
    |                       QueueUnavailable (leaktrace.queue), SecretUnreadable (leaktrace.sealing), ModelUnusable
    |                       and DensityUnusable (leaktrace.science), ServiceUnreachable (leaktrace.client),
    |                       ProcessFailed (deploy.embedded)
    `-- Conflict            the request contradicts what is already recorded (leaktrace.records)
"""


class LeaktraceError(Exception):
    """Root of the tree. `code` is stable and machine-readable; the text is for a person."""

    code = "error"


class InvalidInput(LeaktraceError):
    """The caller gave something that cannot be used; the text says what would be accepted."""

    code = "invalid_input"


class NotFound(LeaktraceError):
    """No such thing exists, as far as the caller may know."""

    code = "not_found"


class Unavailable(LeaktraceError):
    """Something that should be there is not; trying again later may help."""

    code = "unavailable"


class Conflict(LeaktraceError):
    """The request contradicts what is already recorded."""

    code = "conflict"
