"""Open-set density: how unlike each known generator an embedding is, with a guaranteed false-alarm rate.

Novelty is -log density under one class's own kernel density, so higher always means less like that class. It becomes
a p-value by comparison with calibration images of the same class that the density has never seen, and a p-value
cannot fall under 1 / (n + 1): what that makes impossible is said, never rounded away. It knows nothing of images,
networks or verdicts.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.covariance import LedoitWolf
from sklearn.utils.validation import check_is_fitted

from leaktrace.science.density_file import (
    CalibrationSet,
    DensityParts,
    DensityUnusable,
    EnrolledHead,
    pack,
    unpack,
)
from leaktrace.science.embedding_sets import check_sets, checked_embeddings, checked_labelled
from leaktrace.science.kde import GaussianKDE

__all__ = ["BANDWIDTHS", "DensityUnusable", "GaussianKDE", "OpenSetDensity"]

Floats = NDArray[np.float64]

# In units of standard deviations. In 128 dimensions the likelihood often asks for wide kernels.
BANDWIDTHS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.4, 2.0)
_SMALLEST_DEVIATION = 1e-6
# Novelty is known to about 1e-9 nats; rounding above that makes equal embeddings tie whatever batch they came in.
_NOVELTY_DECIMALS = 8


class OpenSetDensity(BaseEstimator):
    """One kernel density per class on whitened embeddings, with class-conditional conformal p-values.

    Parameters
    ----------
    model_version : the model that made the embeddings; kept with the density so that versions are never mixed.
    whiten : after standardising, also decorrelate by the covariance within classes (Ledoit and Wolf 2004). One
        bandwidth serves all dimensions, and embeddings vary within a class in a few directions far more than in the
        others, where a stranger stands out.
    bandwidths, folds : what the bandwidth of each class is chosen from, and by how many folds.

    Attributes
    ----------
    classes_ : (K,) str ; bandwidths_ : (K,) ; calibration_counts_ : (K,) int ; smallest_p_ : (K,) 1 / (n_c + 1)
    mean_, deviation_ : (D,) of the known embeddings ; varying_ : (D,) which dimensions are used
    whitening_ : (d, d) for the varying ones, or None
    calibration_scores_ : K sorted arrays of novelty
    calibration_ : the calibration images themselves, when their gates were given, or None
    head_ : prototypes and temperature of the classes that were enrolled after training, or None

    Source: class-conditional (Mondrian) conformal prediction, Vovk, Gammerman and Shafer 2005, section 4.5.
    """

    def __init__(
        self,
        *,
        model_version: str = "",
        whiten: bool = True,
        bandwidths: Sequence[float] = BANDWIDTHS,
        folds: int = 5,
    ) -> None:
        self.model_version = model_version
        self.whiten = whiten
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
    ) -> Self:
        """Fit on known embeddings (N, D) and calibrate on others (M, D) of the same classes, in float32.

        With their gates (M, D) the calibration images are kept, which an enrolment and a refit need.

        Raises ValueError when shapes, classes or values do not fit, or when the two sets share an embedding.
        """
        known, known_labels = checked_labelled(embeddings, labels, name="known")
        calibration, calibration_of = checked_labelled(
            calibration_embeddings, calibration_labels, name="calibration"
        )
        classes = np.unique(known_labels)
        check_sets(known, calibration, known_classes=classes, calibration_labels=calibration_of)
        self._fit_densities(known, known_labels, classes=classes, bandwidths=None)
        self.calibration_scores_ = [
            np.sort(self._novelty_of(calibration[calibration_of == name], index))
            for index, name in enumerate(classes)
        ]
        self._keep_calibration(calibration, calibration_of, calibration_gates)
        self.head_: EnrolledHead | None = None
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
        """-log density (B, K) in nats of embeddings (B, D): higher means less like that class."""
        check_is_fitted(self)
        checked = checked_embeddings(embeddings, name="given")
        if checked.shape[1] != len(self.mean_):
            raise ValueError(f"embeddings have {checked.shape[1]} dimensions; {len(self.mean_)} were fitted")
        columns = [self._novelty_of(checked, index) for index in range(len(self.classes_))]
        return np.stack(columns, axis=1)  # (B, K)

    def scale(self, embeddings: ArrayLike) -> Floats:
        """Embeddings (B, D) in the units of the known ones (B, d): standardised and, if so fitted, whitened."""
        check_is_fitted(self)
        return self._scaled(checked_embeddings(embeddings, name="given"))

    def p_values(self, embeddings: ArrayLike) -> Floats:
        """Conformal p-values (B, K): (1 + calibration images of c at least as novel) / (n_c + 1).

        For an image of class c that is exchangeable with its calibration images, P(p_c <= alpha) <= alpha.
        """
        novelty = self.novelty(embeddings)
        p_values = np.empty_like(novelty)
        for index, scores in enumerate(self.calibration_scores_):
            at_least = len(scores) - np.searchsorted(scores, novelty[:, index], side="left")
            p_values[:, index] = (1 + at_least) / (len(scores) + 1)
        return p_values

    def attainable(self, alpha: float) -> NDArray[np.bool_]:
        """Which classes (K,) have enough calibration images for a p-value of `alpha` or less to exist."""
        check_is_fitted(self)
        if not 0 < alpha < 1:
            raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1")
        reachable: NDArray[np.bool_] = self.smallest_p_ <= alpha
        return reachable

    def require_alpha(self, alpha: float) -> None:
        """Raise ValueError naming both numbers when the calibration of some class cannot give `alpha`."""
        short = np.flatnonzero(~self.attainable(alpha))
        if len(short):
            index = int(short[np.argmin(self.calibration_counts_[short])])
            count, needed = int(self.calibration_counts_[index]), int(np.ceil(1 / alpha - 1e-9)) - 1
            raise ValueError(
                f"alpha = {alpha} needs {needed} calibration images a class; {str(self.classes_[index])!r} has "
                f"{count}, which gives p-values down to {self.smallest_p_[index]:.4f}"
            )

    def fit_class(self, embeddings: ArrayLike, *, calibration_embeddings: ArrayLike) -> tuple[float, Floats]:
        """Bandwidth and sorted calibration novelty that one more class would have, in the scales fitted here."""
        points = self.scale(embeddings)
        kde = GaussianKDE(bandwidths=self.bandwidths, folds=self.folds).fit(points)
        novelty = np.round(-kde.score_samples(self.scale(calibration_embeddings)), _NOVELTY_DECIMALS)
        return kde.bandwidth_, np.sort(novelty)

    def to_bytes(self) -> bytes:
        """The fitted density as one safetensors file with a JSON header; nothing in it can be executed."""
        return pack(self.parts())

    def parts(self) -> DensityParts:
        """All that the fitted density is made of."""
        check_is_fitted(self)
        return DensityParts(
            model_version=self.model_version,
            whiten=self.whiten,
            classes=tuple(str(name) for name in self.classes_),
            embeddings=self.embeddings_,
            labels=self.labels_,
            bandwidths=self.bandwidths_,
            calibration_scores=tuple(self.calibration_scores_),
            calibration=self.calibration_,
            head=self.head_,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote; raises DensityUnusable when it is damaged or contradicts itself."""
        return cls.from_parts(unpack(data))

    @classmethod
    def from_parts(cls, parts: DensityParts) -> Self:
        """A fitted density from what `parts` gave."""
        density = cls(model_version=parts.model_version, whiten=parts.whiten)
        density.head_, density.calibration_ = parts.head, parts.calibration
        classes = np.array(parts.classes)
        density._fit_densities(
            parts.embeddings,
            classes[parts.labels],
            classes=classes,
            bandwidths=parts.bandwidths,
            enrolled=parts.head.names if parts.head else (),
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
        enrolled: Sequence[str] = (),
    ) -> None:
        """Scale on all known embeddings together; then one density a class, its bandwidth given or sought.

        Enrolled classes have no say in the scales, so that their coming moves no p-value of another class.
        """
        self.classes_ = classes
        self.embeddings_ = known
        self.labels_ = np.searchsorted(classes, labels)
        trained = ~np.isin(labels, enrolled)
        self._fit_scales(known[trained], self.labels_[trained])
        self.densities_: list[GaussianKDE] = []
        for index, name in enumerate(classes):
            points = self._scaled(known[self.labels_ == index])
            if bandwidths is not None:
                kde = GaussianKDE(float(bandwidths[index]))
            elif len(points) < self.folds:
                raise ValueError(
                    f"class {str(name)!r} has {len(points)} known embeddings for {self.folds} folds"
                )
            else:
                kde = GaussianKDE(bandwidths=self.bandwidths, folds=self.folds)
            self.densities_.append(kde.fit(points))
        self.bandwidths_: Floats = np.array([kde.bandwidth_ for kde in self.densities_])

    def _fit_scales(self, known: NDArray[np.float32], labels: NDArray[np.intp]) -> None:
        self.mean_: Floats = known.mean(axis=0, dtype=np.float64)
        self.deviation_: Floats = known.std(axis=0, dtype=np.float64)
        # A dimension that never varies says nothing of the known, and would pull every bandwidth towards zero.
        self.varying_: NDArray[np.bool_] = self.deviation_ > _SMALLEST_DEVIATION
        if not self.varying_.any():
            raise ValueError(
                f"none of the {known.shape[1]} dimensions varies over {len(known)} known embeddings"
            )
        self.whitening_: Floats | None = None
        if self.whiten:
            self.whitening_ = _within_class_whitening(self._scaled(known), labels)

    def _scaled(self, embeddings: NDArray[np.float32]) -> Floats:
        centred = embeddings[:, self.varying_].astype(np.float64) - self.mean_[self.varying_]
        standardised: Floats = centred / self.deviation_[self.varying_]
        return standardised if self.whitening_ is None else standardised @ self.whitening_

    def _novelty_of(self, embeddings: NDArray[np.float32], index: int) -> Floats:
        log_density = self.densities_[index].score_samples(self._scaled(embeddings))
        novelty: Floats = np.round(-log_density, _NOVELTY_DECIMALS)
        return novelty

    def _count(self) -> None:
        self.calibration_counts_ = np.array([len(scores) for scores in self.calibration_scores_])
        self.smallest_p_: Floats = 1 / (self.calibration_counts_ + 1)


def _within_class_whitening(standardised: Floats, labels: NDArray[np.intp]) -> Floats:
    """W (d, d) such that W' S W = 1 for the shrunk covariance S of what is left when class means are taken off."""
    _, rows = np.unique(labels, return_inverse=True)
    means = np.stack([standardised[rows == row].mean(axis=0) for row in range(rows.max() + 1)])
    covariance = LedoitWolf(assume_centered=True).fit(standardised - means[rows]).covariance_
    variances, directions = np.linalg.eigh(covariance)
    whitening: Floats = directions / np.sqrt(np.maximum(variances, _SMALLEST_DEVIATION**2))
    return whitening
