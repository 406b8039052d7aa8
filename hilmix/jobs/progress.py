"""How work says how far it is and learns that it should stop; one protocol in a job, a terminal or a test.

Work calls `update` and `check` as often as it likes: neither touches the database. The heartbeat
writes, on a connection of its own: a slow database does not slow the work, and no transaction of it hides it.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

from tqdm import tqdm

from hilmix.accounts.roles import OPERATOR, Actor


class JobCancelled(Exception):
    """Somebody asked for the work to stop; let it pass through, after cleaning up."""


class Progress:
    """Says nothing and is never cancelled: for tests, and for work nobody waits for. Base of the others."""

    actor: Actor = OPERATOR  # on whose behalf the work is done

    def update(self, done: int, total: int, text: str = "") -> None:
        """`done` of `total` steps are finished; `text` says in a few words what is being done."""

    def log(self, text: str) -> None:
        """Keep one line for whoever reads the job's log."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked for the work to stop; known within about a second."""
        return False

    def check(self) -> None:
        """Raise `JobCancelled` if the work should stop. Work that returns early instead counts as done."""
        if self.cancelled:
            raise JobCancelled


class TerminalProgress(Progress):
    """A progress bar on standard error, for commands in the foreground; none where nothing was to be done.

    Use it as a context manager; inside `gentle_on_ctrl_c` the first Ctrl-C cancels, so that the work can keep what it
    has, and the second ends it at once.
    """

    def __init__(self, title: str = "") -> None:
        self._title = title
        self._bar: tqdm | None = None
        self._interrupted = False

    def update(self, done: int, total: int, text: str = "") -> None:
        if self._bar is None:
            seconds = 0.1 if sys.stderr.isatty() else 10  # between two drawings: a log file needs few
            self._bar = tqdm(total=total, file=sys.stderr, mininterval=seconds, dynamic_ncols=True)
        self._bar.set_description_str(": ".join(filter(None, [self._title, text])), refresh=False)
        if total != self._bar.total or done < self._bar.n:  # something else begins: its pace is its own
            self._bar.reset(total)
        self._bar.update(done - self._bar.n)

    def log(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    @property
    def cancelled(self) -> bool:
        return self._interrupted

    @contextlib.contextmanager
    def gentle_on_ctrl_c(self) -> Iterator[None]:
        """Only in the main thread, which is where signals are heard. Where Ctrl-C is not Python's to hear it stays as
        it is: a shell has background work ignore it, and a program around this one may have its own way with it."""
        before = signal.getsignal(signal.SIGINT)
        if before is not signal.default_int_handler:
            yield
            return

        def interrupted(number: int, frame: object) -> None:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
            self.log("Stopping at the next step that can be gone on from; Ctrl-C again stops at once.")

        signal.signal(signal.SIGINT, interrupted)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
