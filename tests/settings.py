"""Settings of the in-process tests: hilmix's own, with all state in a folder of this process that goes with it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_var = tempfile.mkdtemp(prefix="hilmix-test-")
atexit.register(shutil.rmtree, _var, ignore_errors=True)
os.environ["HILMIX_VAR"] = _var

from hilmix.settings import *  # noqa: E402, F403

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": str(Path(_var) / "test.sqlite3")}  # noqa: F405  (a file, as in use)
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
STATIC_ROOT.mkdir(parents=True)  # noqa: F405  (whitenoise warns of a missing folder)
