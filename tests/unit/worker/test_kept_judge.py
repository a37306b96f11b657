"""The density in shadow is read from the store once, and again only when another one is in shadow."""

from typing import Any
from unittest.mock import Mock

import pytest

from leaktrace.records.density_models import DensityVersion
from worker import shadow as shadow_module
from worker.shadow import KeptJudge


def in_shadow(version: str) -> DensityVersion:
    return DensityVersion(version=version, object_key=f"densities/{version}", sha256="0" * 64, known_images=1)


def test_density_in_shadow_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    monkeypatch.setattr(shadow_module, "read_density", lambda found, _store: read.append(found.version))
    attributor = Mock(make_judge=lambda _density, *, version: f"judge of {version}")
    kept = KeptJudge()
    judges = [kept.judge_of(in_shadow(each), attributor, Mock()) for each in ("a", "a", "b", "b")]
    assert (read, judges) == (["a", "b"], ["judge of a"] * 2 + ["judge of b"] * 2)
