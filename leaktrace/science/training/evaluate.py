"""`leaktrace evaluate`: what a model is worth on images it has never seen, closed set and open set.

Images that made the model are recognised by their bytes and left out; a generator that the model does not know is
unseen ground truth. Beside every score stand controls that see no trace, and checks that must come out at chance.
Knows nothing of terminals.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from leaktrace.errors import InvalidInput
from leaktrace.science.attributor import Attributor
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.model_folder import noise_key_of
from leaktrace.science.preprocessing import Preprocessing, Protocol
from leaktrace.science.training.answers import Answers
from leaktrace.science.training.controls import CONTROLS, control_answers
from leaktrace.science.training.dataset import Dataset
from leaktrace.science.training.faithfulness import faithfulness
from leaktrace.science.training.figures import KNOWN_TIERS, figures_of
from leaktrace.science.training.judging import Judged, Report, answers_of, judge, prepared_samples
from leaktrace.science.training.near_duplicates import described, near_duplicates
from leaktrace.science.training.projection import flat_map
from leaktrace.science.training.robustness import robustness
from leaktrace.science.training.sanity import label_shuffle, random_weights, role_shuffle
from leaktrace.science.training.survey import Surveyed, survey

FORMAT = 2
DIGEST_DIGITS = 16
CHECKED_IMAGES = 10  # of each known generator, for random weights and explanations


class NothingToEvaluate(InvalidInput):
    """No image is left once those that made the model, or that cannot be read, are taken out."""

    code = "nothing_to_evaluate"


@dataclass(frozen=True)
class Plan:
    """How an evaluation is done. `robust_images` of each known generator pass the post-processing; 0 leaves it out."""

    protocol: Protocol = "neutral"
    tiers: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: KNOWN_TIERS)
    robust_images: int = 0


@dataclass(frozen=True)
class Surveys:
    """A dataset's files, split into those that may be judged and those that a fit may have seen."""

    judged: list[Surveyed]
    fitted: list[Surveyed]
    used: int  # left out of `judged` because they made a model


def survey_dataset(dataset: Dataset, *, used: Collection[str], report: Report) -> Surveys:
    """Survey test and open images of a manifest, or all of a folder, and what is left for the controls to learn.

    `used` holds the first digits of the SHA-256 of files that made a model: none of them is judged.
    """
    surveyed = survey(dataset.samples, advance=lambda share: report("surveying", share, 0.0))
    judged, fitted, left_out = [], [], 0
    for one in surveyed:
        made_the_model = one.digest[:DIGEST_DIGITS] in used
        if dataset.declared and one.sample.split not in ("test", "open"):
            fitted.append(one)
        elif made_the_model:
            fitted.append(one)
            left_out += 1
        else:
            judged.append(one)
    return Surveys(judged, fitted, left_out)


def used_files(attributors: Sequence[Attributor]) -> set[str]:
    """What the models' cards say made them: any of these files is left out for all of the models."""
    return {digest for one in attributors for digest in one.card.get("data", {}).get("used_files", ())}


def evaluate(
    dataset: Dataset, attributor: Attributor, *, plan: Plan, report: Report, surveys: Surveys | None = None
) -> dict[str, Any]:
    """Attribute all unseen images of `dataset` and return figures and records, ready for JSON.

    Raises NothingToEvaluate when no image is left.
    """
    started = perf_counter()
    if surveys is None:
        surveys = survey_dataset(dataset, used=used_files([attributor]), report=report)
    preprocessing = replace(attributor.model.preprocessing, protocol=plan.protocol)
    samples = [one.sample for one in surveys.judged]
    judged, refused = judge(samples, attributor, preprocessing=preprocessing, report=report)
    if not judged:
        raise NothingToEvaluate(
            f"0 of {len(dataset.samples)} images can be evaluated ({surveys.used} made the model)"
        )
    answers = answers_of(judged, attributor)
    run = {
        "format": FORMAT,
        "model": attributor.version,
        "density": attributor.density_version,
        "protocol": plan.protocol,
        "tiers": {name: list(members) for name, members in plan.tiers.items()},
        "manifest_sha256": dataset.digest,
        "images": len(judged),
        "left_out_because_they_made_the_model": surveys.used,
        "refused": refused,
        "alpha": attributor.alpha,
        "classes": list(attributor.classes),
        "steps": list(attributor.model.schedule.steps),
        **figures_of(answers, tiers=plan.tiers),
        **beside_the_score(answers, surveys, plan=plan),
    }
    looked = _looked_into(judged, attributor, preprocessing=preprocessing)
    run["sanity"]["random_weights"], run["faithfulness"] = looked["random_weights"], looked["faithfulness"]
    if plan.robust_images:
        run["robustness"] = robustness(
            [one.sample for one in judged],
            attributor,
            preprocessing=preprocessing,
            per_generator=plan.robust_images,
            report=report,
        )
    run["records"] = _records(judged, attributor.density)
    run["seconds"] = perf_counter() - started
    return run


def beside_the_score(answers: Answers, surveys: Surveys, *, plan: Plan) -> dict[str, Any]:
    """Controls, checks and near-duplicates for any scorer's answers, the model's or a peer's."""
    of_file = {one.sample.file: one for one in surveys.judged}
    judged = [of_file[file] for file in answers.truths.files]
    controls = {}
    for control in CONTROLS:
        found = control_answers(
            control, judged, truths=answers.truths, fitted=surveys.fitted, classes=answers.classes
        )
        controls[control] = None if found is None else figures_of(found, tiers=plan.tiers)
    return {
        "controls": controls,
        "sanity": {"label_shuffle": label_shuffle(answers), "role_shuffle": role_shuffle(answers)},
        "near_duplicates": _near_duplicates(answers, judged, fitted=surveys.fitted, plan=plan),
    }


def _near_duplicates(
    answers: Answers, judged: Sequence[Surveyed], *, fitted: Sequence[Surveyed], plan: Plan
) -> dict[str, Any]:
    """What was found, and the closed set without those images when there are any."""
    pairs = near_duplicates(judged, fitted)
    found = described(pairs, judged=len(judged), fitted=len(fitted))
    if pairs:
        files = {pair.judged for pair in pairs}
        rows = np.flatnonzero([file not in files for file in answers.truths.files])
        found["closed_set_without"] = (
            figures_of(answers[rows], tiers=plan.tiers)["closed_set"] if len(rows) else None
        )
    return found


def _looked_into(
    judged: Sequence[Judged], attributor: Attributor, *, preprocessing: Preprocessing
) -> dict[str, Any]:
    """What takes the network itself, on a few images of each known generator: random weights, explanations."""
    chosen: list[Judged] = []
    for name in attributor.classes:
        chosen += [one for one in judged if one.sample.generator == name][:CHECKED_IMAGES]
    pairs, _ = prepared_samples([one.sample for one in chosen], preprocessing)
    if not pairs:
        return {"random_weights": None, "faithfulness": None}
    images = [image for _, image in pairs]
    labels = [attributor.classes.index(sample.generator) for sample, _ in pairs]
    return {
        "random_weights": random_weights(
            attributor.model,
            images,
            np.array(labels, dtype=np.int64),
            noise_key=noise_key_of(attributor.card),
        ),
        "faithfulness": faithfulness(images, attributor.inference),
    }


def _records(judged: Sequence[Judged], density: OpenSetDensity) -> list[dict[str, Any]]:
    """One record an image, with its place on the map of embeddings."""
    places = flat_map(density.judged(np.stack([one.attribution.embedding for one in judged])))
    records = [one.record() for one in judged]
    for index, record in enumerate(records):
        placed = places is not None and bool(np.isfinite(places[index]).all())
        record["map"] = places[index].round(4).tolist() if placed and places is not None else None
    return records
