"""Layers by what they need; in CI a layer that must be there is not skipped."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.filter_too_much]
settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=SLOW_IS_FINE
)
settings.register_profile("ci", settings.get_profile("default"), max_examples=120, derandomize=True)
settings.register_profile("expensive", settings.get_profile("default"), max_examples=2000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--regen` rewrites the golden files, for the diff to be reviewed."""
    parser.addoption("--regen", action="store_true", help="rewrite golden files")


def require(layer: str, reason: str) -> None:
    """Skip with the reason, or fail where IAACTL_REQUIRE says that the layer must be there."""
    if layer in os.environ.get("IAACTL_REQUIRE", "").split(","):
        pytest.fail(f"{layer} is required here: {reason}")
    pytest.skip(f"{layer}: {reason}")
