"""Open-set density: how unlike each known generator an embedding is, with a guaranteed false-alarm rate.

Novelty is -log density under one class's own density, so higher always means less like that class. It becomes a
p-value by comparison with calibration images of the same class that the density has never seen. Knows nothing of
images, networks or verdicts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from leaktrace.science.conformal import images_needed, p_values
from leaktrace.science.density_file import (
    CalibrationSet,
    DensityParts,
    DensityUnusable,
    EnrolledHead,
    pack,
    unpack,
)
from leaktrace.science.embedding_sets import check_sets, checked_embeddings, checked_labelled
from leaktrace.science.estimators import make_estimator
from leaktrace.science.log_density import LogDensity
from leaktrace.science.scales import EmbeddingScale
from leaktrace.science.stratified import StratifiedCalibration, all_unknown, given_or_unknown

__all__ = ["BANDWIDTHS", "DensityUnusable", "OpenSetDensity"]

Floats = NDArray[np.float64]

# In units of standard deviations. In 128 dimensions the likelihood often asks for wide kernels.
BANDWIDTHS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.4, 2.0)
# Novelty is known to about 1e-9 nats; rounding above that makes equal embeddings tie whatever batch they came in.
_NOVELTY_DECIMALS = 8


class OpenSetDensity(BaseEstimator):
    """One density a class on scaled embeddings, with class-conditional conformal p-values.

    Parameters
    ----------
    model_version : the model that made the embeddings; kept with the density so that versions are never mixed.
    whiten : after standardising, also decorrelate by the covariance within classes.
    judged_dim : how many dimensions novelty goes by, the first ones; None for all.
    estimator : a name in `estimators.ESTIMATORS`.
    bandwidths, folds : what the bandwidth of each class is chosen from, and by how many folds.

    Attributes
    ----------
    classes_ : (K,) str ; bandwidths_ : (K,) ; calibration_counts_ : (K,) int ; smallest_p_ : (K,) 1 / (n_c + 1)
    scale_ : EmbeddingScale ; densities_ : K estimators ; trained_ : (N,) bool, which known ones the scales are of
    calibration_scores_ : K sorted arrays of novelty
    calibration_ : the calibration images themselves, when their gates were given, or None
    head_ : prototypes and temperature of the classes that were enrolled after training, or None
    joined_ : rows of embeddings that joined the known ones later; they have no say in scales and bandwidths
    facts_ : what a file that it was read from says of preprocessing, code and data, or None
    """

    def __init__(
        self,
        *,
        model_version: str = "",
        whiten: bool = True,
        judged_dim: int | None = None,
        estimator: str = "kde",
        bandwidths: Sequence[float] = BANDWIDTHS,
        folds: int = 5,
    ) -> None:
        self.model_version = model_version
        self.whiten = whiten
        self.judged_dim = judged_dim
        self.estimator = estimator
        self.bandwidths = bandwidths
        self.folds = folds

    def fit(
        self,
        embeddings: ArrayLike,
        labels: ArrayLike,
        *,
        calibration_embeddings: ArrayLike,
        calibration_labels: ArrayLike,
        calibration_gates: ArrayLike | None = None,
        calibration_strata: ArrayLike | None = None,
    ) -> Self:
        """Fit on known embeddings (N, D) and calibrate on others (M, D) of the same classes, in float32.

        With their gates (M, D) the calibration images are kept, which an enrolment and a refit need, and p-values by
        strata: those are the `calibration_strata` (M,).

        Raises ValueError when shapes, classes or values do not fit, or when the two sets share an embedding.
        """
        known, known_labels = checked_labelled(embeddings, labels, name="known")
        calibration, calibration_of = checked_labelled(
            calibration_embeddings, calibration_labels, name="calibration"
        )
        classes = np.unique(known_labels)
        check_sets(known, calibration, known_classes=classes, calibration_labels=calibration_of)
        self.head_: EnrolledHead | None = None
        self.joined_: tuple[int, ...] = ()
        self.facts_: Mapping[str, Any] | None = None
        self._fit_densities(known, known_labels, classes=classes, bandwidths=None)
        indices = np.searchsorted(classes, calibration_of)
        order, self.calibration_scores_ = self.rank(calibration, indices)
        self.calibration_: CalibrationSet | None = None
        if calibration_gates is not None or calibration_strata is not None:
            kept = _checked_calibration(calibration, calibration_gates, calibration_strata, labels=indices)
            self.calibration_ = kept.in_order(order)
        self._count()
        return self

    def rank(
        self, embeddings: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], list[Floats]]:
        """The rows (M,) of calibration embeddings (M, D) by class and novelty, and the sorted novelty of each class."""
        order, scores = [], []
        for index in range(len(self.classes_)):
            rows = np.flatnonzero(labels == index)
            novelty = self._novelty_of(embeddings[rows], index)
            by_novelty = np.argsort(novelty, kind="stable")
            order.append(rows[by_novelty])
            scores.append(novelty[by_novelty])
        return np.concatenate(order), scores

    def novelty(self, embeddings: ArrayLike) -> Floats:
        """-log density (B, K) in nats of embeddings (B, D): higher means less like that class."""
        check_is_fitted(self)
        checked = checked_embeddings(embeddings, name="given")
        dimensions = len(self.scale_.mean_)
        if checked.shape[1] != dimensions:
            raise ValueError(f"embeddings have {checked.shape[1]} dimensions; {dimensions} were fitted")
        columns = [self._novelty_of(checked, index) for index in range(len(self.classes_))]
        return np.stack(columns, axis=1)  # (B, K)

    def scale(self, embeddings: ArrayLike) -> Floats:
        """Embeddings (B, D) in the units of the known ones (B, d): standardised and, if so fitted, whitened."""
        check_is_fitted(self)
        return self.scale_.transform(checked_embeddings(embeddings, name="given"))

    def judged(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """The numbers of embeddings (B, D) that novelty goes by, in their own units (B, judged_dim)."""
        return embeddings[:, : self.judged_dim]

    def p_values(self, embeddings: ArrayLike) -> Floats:
        """Conformal p-values (B, K): for an image of class c, P(p_c <= alpha) <= alpha."""
        return p_values(self.novelty(embeddings), self.calibration_scores_)

    def calibration_by_strata(self, alpha: float) -> StratifiedCalibration:
        """The calibration scores in groups by strata, as far as there are enough for `alpha`.

        No group has too few for an alpha that its whole class can give, so that `attainable` holds for all.
        """
        check_is_fitted(self)
        count = int(self.calibration_counts_.sum())
        strata = all_unknown(count) if self.calibration_ is None else self.calibration_.strata
        per_class = np.split(strata, np.cumsum(self.calibration_counts_)[:-1])
        return StratifiedCalibration(self.calibration_scores_, per_class, alpha=alpha)

    def attainable(self, alpha: float) -> NDArray[np.bool_]:
        """Which classes (K,) have enough calibration images for a p-value of `alpha` or less to exist."""
        check_is_fitted(self)
        reachable: NDArray[np.bool_] = self.calibration_counts_ >= images_needed(alpha)
        return reachable

    def fit_class(self, embeddings: ArrayLike, *, calibration_embeddings: ArrayLike) -> tuple[float, Floats]:
        """Bandwidth and calibration novelty (M,) that one more class would have, in the scales fitted here."""
        density = self._estimator(None).fit(self.scale(embeddings))
        return density.bandwidth_, _novelty(density, self.scale(calibration_embeddings))

    def to_bytes(self) -> bytes:
        """The fitted density as one safetensors file with a JSON header; nothing in it can be executed."""
        return pack(self.parts())

    def parts(self) -> DensityParts:
        """All that the fitted density is made of."""
        check_is_fitted(self)
        return DensityParts(
            model_version=self.model_version,
            whiten=self.whiten,
            judged_dim=self.judged_dim,
            estimator=self.estimator,
            classes=tuple(str(name) for name in self.classes_),
            embeddings=self.embeddings_,
            labels=self.labels_,
            bandwidths=self.bandwidths_,
            calibration_scores=tuple(self.calibration_scores_),
            calibration=self.calibration_,
            head=self.head_,
            joined=self.joined_,
            facts=self.facts_,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote; raises DensityUnusable when it is damaged or contradicts itself."""
        return cls.from_parts(unpack(data))

    @classmethod
    def from_parts(cls, parts: DensityParts) -> Self:
        """A fitted density from what `parts` gave."""
        density = cls(
            model_version=parts.model_version,
            whiten=parts.whiten,
            judged_dim=parts.judged_dim,
            estimator=parts.estimator,
        )
        density.head_, density.calibration_ = parts.head, parts.calibration
        density.joined_, density.facts_ = parts.joined, parts.facts
        classes = np.array(parts.classes)
        density._fit_densities(
            parts.embeddings,
            classes[parts.labels],
            classes=classes,
            bandwidths=parts.bandwidths,
        )
        density.calibration_scores_ = list(parts.calibration_scores)
        density._count()
        return density

    def _fit_densities(
        self,
        known: NDArray[np.float32],
        labels: NDArray[np.str_],
        *,
        classes: NDArray[np.str_],
        bandwidths: Floats | None,
    ) -> None:
        """Scale on all known embeddings together; then one density a class, its bandwidth given or sought.

        Enrolled classes have no say in the scales, so that their coming moves no p-value of another class; nor have
        images that joined later, so that they move the p-values of what lies near them and of nothing else.
        """
        self.classes_ = classes
        self.embeddings_ = known
        self.labels_ = np.searchsorted(classes, labels)
        trained: NDArray[np.bool_] = ~np.isin(labels, self.head_.names if self.head_ else ())
        trained[list(self.joined_)] = False
        self.trained_ = trained
        scale = EmbeddingScale(whiten=self.whiten, judged_dim=self.judged_dim)
        self.scale_ = scale.fit(known[trained], self.labels_[trained])
        self.densities_: list[LogDensity] = []
        for index, name in enumerate(classes):
            points = self.scale_.transform(known[self.labels_ == index])
            if bandwidths is None and len(points) < self.folds:
                raise ValueError(
                    f"class {str(name)!r} has {len(points)} known embeddings for {self.folds} folds"
                )
            bandwidth = None if bandwidths is None else float(bandwidths[index])
            self.densities_.append(self._estimator(bandwidth).fit(points))
        self.bandwidths_: Floats = np.array([density.bandwidth_ for density in self.densities_])

    def _estimator(self, bandwidth: float | None) -> LogDensity:
        """An unfitted density of the chosen kind; without a bandwidth it seeks its own."""
        return make_estimator(
            self.estimator, bandwidth=bandwidth, bandwidths=self.bandwidths, folds=self.folds
        )

    def _novelty_of(self, embeddings: NDArray[np.float32], index: int) -> Floats:
        return _novelty(self.densities_[index], self.scale_.transform(embeddings))

    def _count(self) -> None:
        self.calibration_counts_ = np.array([len(scores) for scores in self.calibration_scores_])
        self.smallest_p_: Floats = 1 / (self.calibration_counts_ + 1)


def _checked_calibration(
    embeddings: NDArray[np.float32],
    gates: ArrayLike | None,
    strata: ArrayLike | None,
    *,
    labels: NDArray[np.int64],
) -> CalibrationSet:
    if gates is None:
        raise ValueError(f"strata of {len(embeddings)} calibration images came with 0 gates; both are needed")
    kept = checked_embeddings(gates, name="calibration gates'")
    if kept.shape != embeddings.shape:
        raise ValueError(f"calibration gates are {kept.shape}, their embeddings {embeddings.shape}")
    named = given_or_unknown(strata, count=len(embeddings))
    if named.shape != labels.shape:
        raise ValueError(f"{len(embeddings)} calibration embeddings came with strata of shape {named.shape}")
    return CalibrationSet(embeddings, kept, labels, named)


def _novelty(density: LogDensity, points: Floats) -> Floats:
    return np.round(-density.score_samples(points), _NOVELTY_DECIMALS)
