"""Classifiers that cannot see a trace, scored beside every model: what a dataset gives away without any.

One sees colour and contrast only, one sees the file's metadata only. A model that is hardly better than they are has
learnt the dataset and not the generators. Knows nothing of the model that is judged.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from leaktrace.science.training.answers import Answers, Truths
from leaktrace.science.training.survey import Surveyed

Floats = NDArray[np.float64]

CONTROLS = ("colours", "metadata")
FOLDS = 5
_RIDGE = 0.1


def control_answers(
    control: str,
    judged: Sequence[Surveyed],
    *,
    truths: Truths,
    fitted: Sequence[Surveyed],
    classes: Sequence[str],
) -> Answers | None:
    """A control's answers to the judged images, learnt from the fitted ones.

    Where no image of the fitting splits is at hand it is learnt from the judged ones themselves, in folds that keep
    prompts together, which favours the control. None when fewer than two known generators can be learnt.
    """
    learnable = [one for one in fitted if one.header is not None and one.sample.generator in classes]
    known = [one for one in judged if one.sample.generator in classes]
    features = _features(judged, control)
    if len({one.sample.generator for one in learnable}) >= 2:
        probabilities, novelty = _fitted(_features(learnable, control), _names(learnable), features, classes)
    elif len({one.sample.generator for one in known}) >= 2:
        probabilities, novelty = _crossed(judged, features, classes=classes)
    else:
        return None
    return Answers(truths, tuple(classes), probabilities, novelty)


def _crossed(
    judged: Sequence[Surveyed], features: Floats, *, classes: Sequence[str]
) -> tuple[Floats, Floats]:
    names = _names(judged)
    known = np.isin(names, list(classes))
    prompts = np.array([one.sample.prompt for one in judged], dtype=np.str_)
    probabilities, novelty = np.full((len(judged), len(classes)), 1 / len(classes)), np.zeros(len(judged))
    folds = min(FOLDS, len(np.unique(prompts)))
    for _, held in GroupKFold(folds).split(features, groups=prompts) if folds > 1 else ():
        learnt = known & ~np.isin(np.arange(len(judged)), held)
        if len(np.unique(names[learnt])) < 2:
            continue
        probabilities[held], novelty[held] = _fitted(features[learnt], names[learnt], features[held], classes)
    return probabilities, novelty


def _fitted(
    known: Floats, names: NDArray[np.str_], features: Floats, classes: Sequence[str]
) -> tuple[Floats, Floats]:
    """Logistic regression for the probabilities; distance to the nearest class mean for the novelty."""
    model = _classifier().fit(known, names)
    probabilities = np.zeros((len(features), len(classes)))
    columns = [list(classes).index(name) for name in model.classes_]
    probabilities[:, columns] = model.predict_proba(features)
    scaler = model[0]
    means = np.stack([scaler.transform(known[names == name]).mean(axis=0) for name in np.unique(names)])
    offsets = scaler.transform(features)[:, None, :] - means[None]
    return probabilities, np.square(offsets).sum(axis=2).min(axis=1)


def _classifier() -> Pipeline:
    pipeline: Any = make_pipeline(StandardScaler(), LogisticRegression(C=_RIDGE, max_iter=2000))
    return pipeline  # type: ignore[no-any-return]


def _features(surveyed: Sequence[Surveyed], control: str) -> Floats:
    rows = [one.colours if control == "colours" else one.metadata for one in surveyed]
    return np.stack([row for row in rows if row is not None])


def _names(surveyed: Sequence[Surveyed]) -> NDArray[np.str_]:
    return np.array([one.sample.generator for one in surveyed], dtype=np.str_)
