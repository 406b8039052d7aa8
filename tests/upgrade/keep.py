"""Keeps the simulated demonstration of a version for the upgrade test: `python tests/upgrade/keep.py v0.1`.

Run it from the root, on the commit that is to be tagged. It builds the demonstration in a temporary folder and writes
its database (as SQL) and its release (as an archive) to tests/upgrade/VERSION. Accounts and links are left out.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

LEFT_OUT = ("django_session", "accounts_signinlink", "accounts_auditevent", "jobs_worker")


def main(version: str) -> None:
    folder = Path(__file__).parent / version
    folder.mkdir()
    with tempfile.TemporaryDirectory() as var:
        env = {**os.environ, "HILMIX_VAR": var}
        for command in (["prepare"], ["demo"]):
            subprocess.run([sys.executable, "manage.py", *command], env=env, check=True)
        with sqlite3.connect(Path(var) / "hilmix.sqlite3") as database:
            for table in LEFT_OUT:
                database.execute(f"delete from {table}")
            text = "\n".join(database.iterdump())
        (folder / "database.sql.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        with tarfile.open(folder / "release.tar.gz", "w:gz") as archive:
            for release in (Path(var) / "releases").iterdir():
                archive.add(release, arcname=release.name)


if __name__ == "__main__":
    main(sys.argv[1])
