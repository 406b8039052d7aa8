"""The world that programs ask about is the one that the tests of security attack."""

from __future__ import annotations

from tests.security.conftest import _module_world, world

__all__ = ["_module_world", "world"]
