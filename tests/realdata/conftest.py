"""Where the real data is: the one place that knows. It is never committed; these tests skip without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def realdata() -> Path:
    """`$HILMIX_REALDATA`, or ../shared/data beside the checkout."""
    path = Path(os.environ.get("HILMIX_REALDATA") or CHECKOUT.parent / "shared" / "data")
    if not (path / "hmix").is_dir():
        pytest.skip("the real data is not here: set HILMIX_REALDATA to its folder")
    return path
