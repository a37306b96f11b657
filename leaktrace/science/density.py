"""Open-set density: how unlike each known generator an embedding is, with a guaranteed false-alarm rate.

Novelty is -log density under one class's own density, plus the log density of a background where there is one, so
higher always means less like that class. It becomes a p-value by comparison with calibration images of the same class
that the density has never seen. Knows nothing of images, networks or verdicts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from leaktrace.science.conformal import images_needed, p_values
from leaktrace.science.density_file import (
    Background,
    CalibrationSet,
    DensityParts,
    DensityUnusable,
    EnrolledHead,
    pack,
    unpack,
)
from leaktrace.science.embedding_sets import (
    check_sets,
    checked_background,
    checked_embeddings,
    checked_labelled,
)
from leaktrace.science.estimators import make_estimator
from leaktrace.science.log_density import LogDensity
from leaktrace.science.scales import EmbeddingScale

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
    estimator : a name in `estimators.ESTIMATORS`.
    bandwidths, folds : what the bandwidth of each class is chosen from, and by how many folds.

    Attributes
    ----------
    classes_ : (K,) str ; bandwidths_ : (K,) ; calibration_counts_ : (K,) int ; smallest_p_ : (K,) 1 / (n_c + 1)
    scale_ : EmbeddingScale ; densities_ : K estimators
    background_density_ : one more estimator, or None ; background_floor_ : the least log density it may add
    calibration_scores_ : K sorted arrays of novelty
    calibration_ : the calibration images themselves, when their gates were given, or None
    head_ : prototypes and temperature of the classes that were enrolled after training, or None
    joined_ : rows of embeddings that joined the known ones later; they have no say in scales and bandwidths
    facts_ : what a file that it was read from says of preprocessing, code and data, or None

    Source of the background: the likelihood ratio of Ren et al. 2019, arXiv 1906.02845.
    """

    def __init__(
        self,
        *,
        model_version: str = "",
        whiten: bool = True,
        estimator: str = "kde",
        bandwidths: Sequence[float] = BANDWIDTHS,
        folds: int = 5,
    ) -> None:
        self.model_version = model_version
        self.whiten = whiten
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
        background: ArrayLike | None = None,
    ) -> Self:
        """Fit on known embeddings (N, D) and calibrate on others (M, D) of the same classes, in float32.

        With their gates (M, D) the calibration images are kept, which an enrolment and a refit need. `background`
        (S, D) are embeddings of what no known generator makes; novelty is then measured against them.

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
        self._fit_background(
            None if background is None else checked_background(background, dimensions=known.shape[1]),
            bandwidth=None,
        )
        self.calibration_scores_ = [
            np.sort(self._novelty(calibration[calibration_of == name], [self.densities_[index]])[:, 0])
            for index, name in enumerate(classes)
        ]
        self._keep_calibration(calibration, calibration_of, calibration_gates)
        self._count()
        return self

    def _keep_calibration(
        self, embeddings: NDArray[np.float32], labels: NDArray[np.str_], gates: ArrayLike | None
    ) -> None:
        self.calibration_: CalibrationSet | None = None
        if gates is not None:
            kept = checked_embeddings(gates, name="calibration gates'")
            if kept.shape != embeddings.shape:
                raise ValueError(f"calibration gates are {kept.shape}, their embeddings {embeddings.shape}")
            self.calibration_ = CalibrationSet(embeddings, kept, np.searchsorted(self.classes_, labels))

    def novelty(self, embeddings: ArrayLike) -> Floats:
        """Novelty (B, K) in nats of embeddings (B, D): higher means less like that class."""
        check_is_fitted(self)
        checked = checked_embeddings(embeddings, name="given")
        dimensions = len(self.scale_.mean_)
        if checked.shape[1] != dimensions:
            raise ValueError(f"embeddings have {checked.shape[1]} dimensions; {dimensions} were fitted")
        return self._novelty(checked, self.densities_)

    def scale(self, embeddings: ArrayLike) -> Floats:
        """Embeddings (B, D) in the units of the known ones (B, d): standardised and, if so fitted, whitened."""
        check_is_fitted(self)
        return self.scale_.transform(checked_embeddings(embeddings, name="given"))

    def p_values(self, embeddings: ArrayLike) -> Floats:
        """Conformal p-values (B, K): for an image of class c, P(p_c <= alpha) <= alpha."""
        return p_values(self.novelty(embeddings), self.calibration_scores_)

    def attainable(self, alpha: float) -> NDArray[np.bool_]:
        """Which classes (K,) have enough calibration images for a p-value of `alpha` or less to exist."""
        check_is_fitted(self)
        reachable: NDArray[np.bool_] = self.calibration_counts_ >= images_needed(alpha)
        return reachable

    def require_alpha(self, alpha: float) -> None:
        """Raise ValueError naming both numbers when the calibration of some class cannot give `alpha`."""
        short = np.flatnonzero(~self.attainable(alpha))
        if len(short):
            index = int(short[np.argmin(self.calibration_counts_[short])])
            count, name = int(self.calibration_counts_[index]), str(self.classes_[index])
            raise ValueError(
                f"alpha = {alpha} needs {images_needed(alpha)} calibration images a class; {name!r} has "
                f"{count}, which gives p-values down to {self.smallest_p_[index]:.4f}"
            )

    def fit_class(self, embeddings: ArrayLike, *, calibration_embeddings: ArrayLike) -> tuple[float, Floats]:
        """Bandwidth and sorted calibration novelty that one more class would have, in the scales fitted here."""
        density = self._estimator(None).fit(self.scale(embeddings))
        calibration = checked_embeddings(calibration_embeddings, name="calibration")
        return density.bandwidth_, np.sort(self._novelty(calibration, [density])[:, 0])

    def to_bytes(self) -> bytes:
        """The fitted density as one safetensors file with a JSON header; nothing in it can be executed."""
        return pack(self.parts())

    def parts(self) -> DensityParts:
        """All that the fitted density is made of."""
        check_is_fitted(self)
        return DensityParts(
            model_version=self.model_version,
            whiten=self.whiten,
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
            background=self.background_,
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
        if parts.background is None:
            density._fit_background(None, bandwidth=None)
        else:
            density._fit_background(parts.background.embeddings, bandwidth=parts.background.bandwidth)
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
        trained = ~np.isin(labels, self.head_.names if self.head_ else ())
        trained[list(self.joined_)] = False
        self.scale_ = EmbeddingScale(whiten=self.whiten).fit(known[trained], self.labels_[trained])
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

    def _fit_background(self, embeddings: NDArray[np.float32] | None, *, bandwidth: float | None) -> None:
        self.background_: Background | None = None
        self.background_density_: LogDensity | None = None
        if embeddings is not None:
            points = self.scale_.transform(embeddings)
            density = self._estimator(bandwidth).fit(points)
            self.background_ = Background(embeddings, density.bandwidth_)
            self.background_density_ = density
            self.background_floor_ = self._least_likely(points, bandwidth=density.bandwidth_)

    def _least_likely(self, points: Floats, *, bandwidth: float) -> float:
        """The lowest log density of any point under the half that it is not in."""
        halves = (points[::2], points[1::2])
        scores = [
            self._estimator(bandwidth).fit(known).score_samples(asked)
            for known, asked in (halves, halves[::-1])
        ]
        return float(min(score.min() for score in scores))

    def _novelty(self, embeddings: NDArray[np.float32], densities: Sequence[LogDensity]) -> Floats:
        """Novelty (B, K) under each of K densities."""
        points = self.scale_.transform(embeddings)
        novelty = -np.stack([density.score_samples(points) for density in densities], axis=1)
        if self.background_density_ is not None:
            # Far from everything the ratio of two vanishing densities says nothing: there only -log p counts.
            against = np.maximum(self.background_density_.score_samples(points), self.background_floor_)
            novelty += against[:, None]
        rounded: Floats = np.round(novelty, _NOVELTY_DECIMALS)
        return rounded

    def _count(self) -> None:
        self.calibration_counts_ = np.array([len(scores) for scores in self.calibration_scores_])
        self.smallest_p_: Floats = 1 / (self.calibration_counts_ + 1)
