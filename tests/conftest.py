"""Layers by what they need; in CI a layer that must be there is not skipped."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("default", deadline=None, max_examples=60)
settings.register_profile("ci", deadline=None, max_examples=150, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def require(layer: str, reason: str) -> None:
    """Skip with the reason, or fail where IAACTL_REQUIRE says that the layer must be there."""
    if layer in os.environ.get("IAACTL_REQUIRE", "").split(","):
        pytest.fail(f"{layer} is required here: {reason}")
    pytest.skip(f"{layer}: {reason}")
