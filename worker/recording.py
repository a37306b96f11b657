"""What is recorded and logged of attributed images. Knows nothing of how they were attributed, or of the database."""

from collections.abc import Sequence

from leaktrace.records.outcomes import Failure, NewAttribution, Outcome
from worker.executor import Attributed


def as_record(attributed: Attributed, seconds: dict[str, float]) -> NewAttribution:
    """The columns of an attribution, with the seconds of its stages: fetch, decode and its share of a batch."""
    attribution = attributed.attribution
    timings = {stage: round(took, 6) for stage, took in {**seconds, "attribute": attributed.seconds}.items()}
    return NewAttribution(
        density_version=attributed.density_version,
        verdict=attribution.verdict,
        generator=attribution.generator,
        p_value=attribution.p_value,
        smallest_p=attribution.smallest_p,
        alpha=attribution.alpha,
        reason=attribution.reason,
        probabilities=attribution.probabilities,
        p_values=attribution.p_values,
        calibration=attribution.calibration,
        explanation=attribution.explanation.to_dict(),
        extended=attribution.extended,
        timings=timings,
        embedding=attribution.embedding,
        gate=attribution.gate,
    )


def summary(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """What a log line says of a shard: images, what became of them, and the seconds of each stage summed."""
    results = [outcome.result for outcome in outcomes]
    new = [result for result in results if isinstance(result, NewAttribution)]
    stages = ("fetch", "decode", "attribute")
    return {
        "images": len(outcomes),
        "items": sum(len(outcome.item_ids) for outcome in outcomes),
        "attributed": len(new),
        "reused": sum(outcome.attribution_id is not None for outcome in outcomes),
        "failed": sum(isinstance(result, Failure) for result in results),
        **{f"{stage}_seconds": round(sum(one.timings[stage] for one in new), 4) for stage in stages},
    }
