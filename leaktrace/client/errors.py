"""What can go wrong between a client and the service, as errors that say what to do.

`ApiProblem` carries the problem document (RFC 9457) that the service answered with; the others are of the client's
own making. All are `LeaktraceError`s.
"""

from typing import Any

from leaktrace.errors import LeaktraceError, Unavailable


class ApiProblem(LeaktraceError):
    """The service refused a request. `problem` is its document; `status`, `code` and `request_id` come from it."""

    def __init__(self, problem: dict[str, Any], *, status: int) -> None:
        self.problem = problem
        self.status = status
        self.code = str(problem.get("code") or "error")
        self.request_id: str | None = problem.get("request_id")
        self.errors: list[dict[str, Any]] = list(problem.get("errors") or [])
        super().__init__(_describe(problem, status=status))


class ServiceUnreachable(Unavailable):
    """Nothing answered at the service's address, or the connection broke more often than we try."""

    code = "service_unreachable"


class UnexpectedAnswer(LeaktraceError):
    """The answer is not the service's; the address probably belongs to something else."""

    code = "unexpected_answer"


class ResultsTruncated(Unavailable):
    """A stream of results, or of the audit trail, broke off; `received` lines came through. Ask again."""

    code = "results_truncated"

    def __init__(self, *, received: int, announced: int | None = None) -> None:
        self.received, self.announced = received, announced
        of = "" if announced is None else f" of {announced}"
        super().__init__(f"the answer broke off after line {received}{of}; ask for it again")


class ReportTruncated(Unavailable):
    """A case report broke off before its end."""

    code = "report_truncated"

    def __init__(self) -> None:
        super().__init__("the report broke off before its end; ask for it again")


class WaitTimedOut(Unavailable):
    """The batch did not finish in the time allowed; it goes on, and waiting can be resumed."""

    code = "wait_timed_out"


def _describe(problem: dict[str, Any], *, status: int) -> str:
    text = str(problem.get("detail") or problem.get("title") or f"the service answered {status}")
    named = [
        f"{error.get('pointer', '')}: {error.get('detail', '')}" for error in problem.get("errors") or []
    ]
    request = f" (request {problem['request_id']})" if problem.get("request_id") else ""
    return "; ".join([text, *named]) + request
