"""Results added up, and compared with the names of folders."""

from typing import Any

from leaktrace.cli.summary import agreement, folder_of, summarise
from leaktrace.client import FileAnswer, Result
from tests.unit.client.fake_service import result


def found(custom_id: str, generator: str | None = "sdxl-1.0", *, p_value: float = 0.4) -> Result:
    """A result that names a generator, or none and is unseen."""
    verdict = "generator" if generator else "unseen"
    attribution: dict[str, Any] = {"generator": generator, "verdict": verdict, "p_value": p_value}
    return Result.model_validate(result(custom_id, attribution=attribution))


def failed(code: str) -> Result:
    error = {"code": code, "detail": ""}
    return Result.model_validate(result("x", state="failed", error=error) | {"attribution": None})


def test_median_of_each_generator() -> None:
    results = [found("a", "g", p_value=p) for p in (0.1, 0.2, 0.9)] + [found("b", "h", p_value=0.5)]
    assert summarise(results).rows()[:2] == [("g", 3, 0.2), ("h", 1, 0.5)]


def test_failures_are_counted_by_code() -> None:
    refused = FileAnswer.model_validate(
        {"custom_id": "y", "status": "refused", "error": {"code": "empty", "detail": ""}}
    )
    summary = summarise([failed("truncated"), failed("truncated")], [refused])
    assert dict(summary.failed) == {"truncated": 2, "empty": 1}


def test_total_counts_everything() -> None:
    cancelled = Result.model_validate(result("x", state="cancelled") | {"attribution": None})
    assert summarise([found("a"), found("b", None), failed("empty"), cancelled]).total == 4


def test_agreement_counts_by_folder() -> None:
    results = [found("sd/1.png", "sd"), found("sd/2.png", "real"), found("sd/3.png", None)]
    results += [found("gan/1.png", None), found("gan/2.png", "sd")]
    compared = agreement(results, ["sd", "real"])
    assert compared is not None
    assert (compared.known, compared.same, compared.other) == (3, 1, 1)
    assert (compared.unknown, compared.unknown_unseen) == (2, 1)


def test_no_agreement_without_known_folder() -> None:
    assert agreement([found("holiday/1.png")], ["sdxl-1.0"]) is None


def test_failed_images_are_not_compared() -> None:
    assert agreement([failed("empty")], ["sdxl-1.0"]) is None


def test_folder_is_the_nearest() -> None:
    assert [folder_of(name) for name in ("a/b/c.png", "c.png")] == ["b", ""]
