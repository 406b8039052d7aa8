"""The one error of the framework-free core.

Every failure that a person can cause or mend (a broken file, a wrong shape, a changed release) is a
`DataError` whose message says what was wrong, where, and what to do. Programming mistakes raise ordinary
exceptions.
"""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be used; the message is written for the person who brought it."""
