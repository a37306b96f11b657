"""Where densities are put together: what everybody's is made of, with enrolled generators set on it, and as files.

A density is always made anew from a list of what stands. Knows nothing of who asked for it, or of whether it is used.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from leaktrace.objects import ObjectStore, density_key
from leaktrace.records.densities import DensityCheckpoint
from leaktrace.records.drift import WindowImage
from leaktrace.records.examples import ExampleRow, read_examples
from leaktrace.records.open_set_models import Enrolment
from leaktrace.science.density import OpenSetDensity
from leaktrace.science.density_file import pack
from leaktrace.science.enrolment import Examples, enrol, split
from leaktrace.science.gates import GateRules, Sample
from leaktrace.science.stratified import UNKNOWN

if TYPE_CHECKING:
    from leaktrace.science.attributor import Attributor

DENSITY_CONTENT_TYPE = "application/octet-stream"
VERSION_DIGITS = 12
FACTS_IN_FILE = ("preprocessing_sha256", "code_version", "data", "base", "enrolments")


@dataclass(frozen=True)
class Built:
    """A density, and the held-out examples of each enrolment in it."""

    density: OpenSetDensity
    held_out: dict[UUID, Sample]


@dataclass(frozen=True)
class Bench:
    """What is built on: the model, and a density of it."""

    attributor: "Attributor"
    base: DensityCheckpoint
    density: OpenSetDensity

    @property
    def model_version(self) -> str:
        """Of the attributor."""
        return self.attributor.version

    def build(self, session: Session, enrolments: Sequence[Enrolment], *, rules: GateRules) -> Built:
        """The density with these generators. Raises ValueError when one of them cannot be made."""
        density, held_out = self.density, {}
        for enrolment in enrolments:
            rows = read_examples(session, enrolment.id, model_version=self.model_version)
            examples = as_sample(rows, dimensions=density.embeddings_.shape[1])
            given = Examples(examples.embeddings, examples.gates, examples.strata)
            parts = split(given, alpha=self.attributor.alpha)
            judge = self.attributor.make_judge(density, version="before")
            density = enrol(judge, self.attributor.model, name=enrolment.name, examples=parts, rules=rules)
            held = parts.held_out
            held_out[enrolment.id] = Sample(held.embeddings, held.gates, strata=held.strata)
        return Built(density, held_out)

    def golden(self) -> NDArray[np.float32]:
        """The golden embeddings (G, D) of the model's card."""
        return np.array(self.attributor.card["golden"]["embeddings"], dtype=np.float32)


def calibration_sample(density: OpenSetDensity) -> Sample:
    """The calibration images of a density. Raises ValueError when it does not carry them."""
    calibration = density.calibration_
    if calibration is None:
        raise ValueError("the shared density carries 0 calibration images, so no gate can be measured")
    names = np.asarray(density.classes_, dtype=np.str_)[calibration.labels]
    return Sample(calibration.embeddings, calibration.gates, names, strata=calibration.strata)


def as_sample(rows: Sequence[ExampleRow | WindowImage], *, dimensions: int) -> Sample:
    """Stored embeddings and gates (N, D) as arrays; images judged before gates were kept are left out."""
    usable = [row for row in rows if row.gate is not None]
    embeddings = [np.asarray(row.embedding, dtype=np.float32) for row in usable]
    gates = [np.asarray(row.gate, dtype=np.float32) for row in usable]
    shape = (len(usable), dimensions)
    return Sample(
        np.array(embeddings, np.float32).reshape(shape),
        np.array(gates, np.float32).reshape(shape),
        strata=np.array([row.stratum or UNKNOWN for row in usable], dtype=np.str_),
    )


def store_artefact(
    density: OpenSetDensity,
    store: ObjectStore,
    *,
    model_version: str,
    prefix: str,
    details: Mapping[str, Any],
) -> DensityCheckpoint:
    """Put the density into the store under a version that its content names; the row is the caller's to write."""
    checkpoint, artefact = make_artefact(density, model_version=model_version, prefix=prefix, details=details)
    store.put(checkpoint.object_key, artefact, content_type=DENSITY_CONTENT_TYPE)
    return checkpoint


def make_artefact(
    density: OpenSetDensity, *, model_version: str, prefix: str, details: Mapping[str, Any]
) -> tuple[DensityCheckpoint, bytes]:
    """The density as a file, and the version and key that its content names.

    The file says of itself what `details`, which its row will have, say of preprocessing, code and data.
    """
    facts = {name: details[name] for name in FACTS_IN_FILE if name in details}
    artefact = pack(replace(density.parts(), facts=facts))
    sha256 = hashlib.sha256(artefact).hexdigest()
    version = f"{prefix}-{sha256[:VERSION_DIGITS]}"
    key = density_key(model_version, version)
    return DensityCheckpoint(version, key, sha256, len(density.embeddings_)), artefact
