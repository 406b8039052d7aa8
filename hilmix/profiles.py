"""The two ways to run hilmix, as one table of defaults that environment variables override.

`embedded` needs nothing but a folder; `production` expects PostgreSQL, Redis and secrets from the environment and
has no default for any of them. No feature works in only one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Profile:
    """Defaults of one profile; `None` means the environment must say it."""

    database_url: str | None
    broker_url: str | None
    cache_url: str
    public_url: str | None
    generate_keys: bool  # whether missing secrets are made once and kept under var/keys


def profiles(var: Path, port: str) -> dict[str, Profile]:
    """The table, for state kept under `var` and a web server on `port`."""
    return {
        "embedded": Profile(
            database_url=f"sqlite:///{var / 'hilmix.sqlite3'}",
            broker_url="filesystem://localhost/",  # a host, which nothing asks for, or kombu warns that there is none
            cache_url=f"filecache://{var / 'cache'}",
            public_url=f"http://127.0.0.1:{port}",
            generate_keys=True,
        ),
        "production": Profile(
            database_url=None, broker_url=None, cache_url="", public_url=None, generate_keys=False
        ),
    }
