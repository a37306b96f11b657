"""Peer: logistic regression on the power spectrum of a high-pass residual, no network at all.

The residual is what a 3 x 3 median filter takes away; its log power, averaged over colours and crops, is pooled into
cells of frequency.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.peers.features import LinearHead
from benchmarks.peers.interface import Crops, Scores

Floats = NDArray[np.float64]

CELL = 8  # frequencies a side that are pooled together


class ResidualSpectrum:
    """See the module. Source of the idea: Marra et al. 2019, fingerprints of generators in the noise residual."""

    name = "residual-spectrum"
    crops = 4
    budget = "all training images, 4 crops each; logistic regression"

    def fit(self, images: Sequence[Crops], labels: NDArray[np.int64], *, seed: int) -> Self:
        """Learn from spectra; nothing is random."""
        del seed
        self.head = LinearHead().fit(_spectra(images), labels)
        return self

    def score(self, images: Sequence[Crops]) -> Scores:
        """Scores in the same order."""
        return Scores(*self.head.score(_spectra(images)))


def _spectra(images: Sequence[Crops]) -> Floats:
    return np.stack([_spectrum(image.crops) for image in images])


def _spectrum(crops: NDArray[np.uint8]) -> Floats:
    """(N, 3, side, side) -> pooled log power over half the frequency plane, flat."""
    pixels = crops.astype(np.float32)
    residual = pixels - ndimage.median_filter(pixels, size=(1, 1, 3, 3))
    power = np.abs(np.fft.rfft2(residual)) ** 2  # (N, 3, side, side / 2 + 1)
    log = np.log(power.mean(axis=(0, 1))[:, :-1] + 1e-3)
    rows, columns = log.shape[0] // CELL, log.shape[1] // CELL
    return np.asarray(log.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3)).ravel(), dtype=np.float64)
