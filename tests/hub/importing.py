"""What the tests of importers share."""

from __future__ import annotations

from hilmix.jobs.progress import Progress


class Stopping(Progress):
    """Somebody who stops an import once its answers are being written."""

    def __init__(self) -> None:
        self.said: list[tuple[int, int, str]] = []

    def update(self, done: int, total: int, text: str = "") -> None:
        self.said.append((done, total, text))

    @property
    def cancelled(self) -> bool:
        return any("answers" in text for _done, _total, text in self.said)
