"""After the networks: the coordinates of block statistics, in closed form, and how much they count beside the features.

Linear discriminant analysis with a shrunk covariance, on each training image as it is and with other histories. The
training images fit networks and coordinates more closely than any image to come, so how much the coordinates count is
weighed on the calibration images, together with the temperature: two numbers. Knows nothing of densities.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch.nn import functional

from leaktrace.science.block_statistics import block_statistics
from leaktrace.science.encoder import Embedded
from leaktrace.science.model import ProtoLeakNet
from leaktrace.science.preprocessing import Preprocessing, cut_crops
from leaktrace.science.temperature import fit_temperature
from leaktrace.science.training.crops import to_tensor
from leaktrace.science.training.histories import draw_history

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

WEIGHT_BOUNDS = (-6.0, 2.0)  # of the natural logarithm
_LEAST_DEVIATION = 1e-3  # of a statistic, all of which are logarithms
WINDOW_PX = 512  # of an image, to give it another history


@dataclass(frozen=True)
class BlockRecipe:
    """How coordinates are fitted: by how much the covariance is shrunk, and how often an image counts as it is.

    Beside that it counts once off the grid and once after random post-processing. `components` principal components are
    kept for classes that are enrolled later.
    """

    shrinkage: float = 0.03
    as_is: int = 2
    components: int = 128


def with_blocks(
    net: ProtoLeakNet,
    images: Sequence[Pixels],
    labels: Sequence[int],
    *,
    preprocessing: Preprocessing,
    recipe: BlockRecipe,
    seed: int,
    report: Callable[[str, float, float], None],
) -> ProtoLeakNet:
    """The net with one coordinate fewer than classes, and components, behind its features.

    Prototypes stand at the classes' means in the coordinates, and nowhere in the components, which have no gate.
    """
    rows: list[Floats] = []
    generator = np.random.default_rng(seed)
    for index, pixels in enumerate(images):
        rows += _draws(pixels, preprocessing, recipe=recipe, generator=generator)
        report("reading blocks", (index + 1) / len(images), 0.0)
    found = np.stack(rows)
    mean, unit = found.mean(axis=0), _units(found)
    statistics = (found - mean) / unit
    of_rows = np.repeat(labels, len(rows) // len(images))
    directions, centres = _discriminants(statistics, of_rows, shrinkage=recipe.shrinkage)
    components = _components(statistics, count=recipe.components)
    projection = np.hstack([directions, components]) / unit[:, None]
    return _extended(net, mean=mean, projection=projection, centres=centres)


@torch.inference_mode()
def mean_statistics(crops: Pixels) -> Floats:
    """Block statistics of crops (N, 3, side, side), averaged over them."""
    found: Floats = block_statistics(to_tensor(crops)).mean(dim=0).double().numpy()
    return found


def weigh_blocks(net: ProtoLeakNet, embedded: Embedded, labels: Sequence[int]) -> ProtoLeakNet:
    """The net whose coordinates count as suits images best that neither they nor the features were fitted on."""
    coordinates = _coordinates(net)
    target = torch.as_tensor(labels)

    def loss(log_weight: float) -> float:
        gate = embedded.gate.clone()
        gate[:, coordinates] = float(np.exp(log_weight))
        with torch.inference_mode():
            scores = net.head(embedded.embedding, gate).double()
        return float(functional.cross_entropy(scores / fit_temperature(scores, labels), target))

    best: Any = minimize_scalar(loss, bounds=WEIGHT_BOUNDS, method="bounded")  # type: ignore[no-untyped-call]
    return _scaled(net, float(np.exp(best.x / 2)))


def _draws(
    pixels: Pixels, preprocessing: Preprocessing, *, recipe: BlockRecipe, generator: np.random.Generator
) -> list[Floats]:
    """Statistics of an image as it is, off the grid, and after random post-processing."""
    as_is = mean_statistics(cut_crops(pixels, preprocessing))
    scrambled = mean_statistics(cut_crops(pixels, replace(preprocessing, protocol="scrambled")))
    window = draw_history(generator).window(pixels, WINDOW_PX, generator=generator)
    return [as_is] * recipe.as_is + [scrambled, mean_statistics(cut_crops(window, preprocessing))]


def _units(statistics: Floats) -> Floats:
    """The deviation of each statistic over images (F,), infinite for one that hardly varies.

    What is constant but for rounding would say how many crops an image has, and so its size.
    """
    deviation = statistics.std(axis=0)
    units: Floats = np.where(deviation > _LEAST_DEVIATION, deviation, np.inf)
    return units


def _discriminants(
    statistics: Floats, labels: NDArray[np.int64], *, shrinkage: float
) -> tuple[Floats, Floats]:
    """Directions (F, K - 1) in which classes have unit covariance, and the classes' means along them (K, K - 1)."""
    classes = len(np.unique(labels))
    analysis: Any = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage).fit(statistics, labels)
    directions: Floats = analysis.scalings_[:, : classes - 1]
    coordinates = statistics @ directions
    centres = np.stack([coordinates[labels == index].mean(axis=0) for index in range(classes)])
    return directions, centres


def _components(statistics: Floats, *, count: int) -> Floats:
    """Up to `count` orthonormal directions (F, count) along which statistics (N, F) vary most."""
    if not count:
        return np.empty((statistics.shape[1], 0))
    found: Floats = PCA(min(count, *statistics.shape), svd_solver="full").fit(statistics).components_.T
    return found


def _extended(net: ProtoLeakNet, *, mean: Floats, projection: Floats, centres: Floats) -> ProtoLeakNet:
    """The same net for longer embeddings: all prototypes of a class stand at its mean in the coordinates."""
    coordinates = centres.shape[1]
    components = projection.shape[1] - coordinates
    extended = ProtoLeakNet(replace(net.config, coordinates=coordinates, components=components))
    state = net.state_dict()
    prototypes = state["head.prototypes"]  # (K, M, D)
    behind = prototypes.new_zeros((*prototypes.shape[:2], coordinates + components))
    behind[..., :coordinates] = torch.from_numpy(centres)[:, None]
    state |= {
        "head.prototypes": torch.cat([prototypes, behind], dim=2),
        "blocks.mean": torch.from_numpy(mean).float(),
        "blocks.projection": torch.from_numpy(projection).float(),
    }
    extended.load_state_dict(state)
    return extended.eval()


def _scaled(net: ProtoLeakNet, factor: float) -> ProtoLeakNet:
    """The net with coordinates, and where prototypes stand in them, `factor` times as long."""
    scaled = copy.deepcopy(net)
    if scaled.blocks is None:
        raise ValueError("a net without coordinates was given; fit them first")
    with torch.no_grad():
        scaled.blocks.projection[:, : net.config.coordinates].mul_(factor)
        scaled.head.prototypes[..., _coordinates(net)].mul_(factor)
    return scaled


def _coordinates(net: ProtoLeakNet) -> slice:
    """Where in an embedding the coordinates stand."""
    return slice(net.config.encoder.embedding_dim, net.config.judged_dim)
