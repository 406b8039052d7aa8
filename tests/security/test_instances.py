"""How an instance starts: with secrets of its own, or, in production, not at all without them."""

from __future__ import annotations

import inspect
import os
import stat
import subprocess
import sys
from ast import literal_eval
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from kombu.exceptions import ContentDisallowed, EncodeError
from kombu.serialization import loads

from hilmix.jobs import tasks
from hilmix.jobs.registry import KINDS
from hilmix.security import key_from_file

ROOT = Path(settings.BASE_DIR)
PRODUCTION = {
    "HILMIX_PROFILE": "production",
    "HILMIX_SECRET_KEY": "o4t1kzJ7yhe3PqGmXw9bVn5sLd8uRf2cAiQxW6vETpYZ0HBjMN",
    "HILMIX_IDENTITY_KEY": "another-one-4t1kzJ7yhe3PqGmXw9bVn5sLd8uRf2cAiQxW6vE",
    "HILMIX_PUBLIC_URL": "https://hilmix.example",
    "DATABASE_URL": "postgres://hilmix:x@db.example/hilmix",
    "REDIS_URL": "redis://redis.example:6379/0",
}
OURS = ("HILMIX_", "DATABASE_URL", "REDIS_URL", "BROKER_URL", "CACHE_URL", "DJANGO_", "PORT")


def python(*arguments: str, var: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python in the checkout that knows nothing of this test's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=clean | {"HILMIX_VAR": str(var), "DJANGO_SETTINGS_MODULE": "hilmix.settings"} | environment,
        text=True,
        capture_output=True,
    )


def settings_of(*names: str, var: Path, **environment: str) -> tuple[Any, ...]:
    """What the settings called `names` are in a fresh instance with its state in `var`."""
    code = f"from django.conf import settings; print([getattr(settings, name) for name in {names}])"
    done = python("-c", code, var=var, **environment)
    assert done.returncode == 0, done.stderr
    return tuple(literal_eval(done.stdout))


# --- Keys of an embedded instance ---------------------------------------------------------------------------


def test_an_embedded_instance_makes_its_own_keys_and_keeps_them_to_its_owner(tmp_path):
    keys = {}
    for name in ("one", "two"):
        var = tmp_path / name
        first, again = (settings_of("SECRET_KEY", "IDENTITY_KEY", var=var) for _ in range(2))
        assert first == again
        keys[name] = first
        folder = var / "keys"
        assert {path.name for path in folder.iterdir()} == {"secret_key", "identity_key"}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600, 0o600]
    assert len({*keys["one"], *keys["two"]}) == 4
    assert min(map(len, keys["one"])) >= 64


def test_processes_that_start_at_once_agree_on_one_key(tmp_path):
    path = tmp_path / "keys" / "secret_key"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: key_from_file(path), range(64)))
    assert len(keys) == 1
    assert [file.name for file in path.parent.iterdir()] == ["secret_key"]


def test_a_key_in_the_environment_is_used_and_none_is_made(tmp_path):
    key = PRODUCTION["HILMIX_SECRET_KEY"]
    assert settings_of("SECRET_KEY", var=tmp_path, HILMIX_SECRET_KEY=key) == (key,)
    assert not (tmp_path / "keys" / "secret_key").exists()


def test_the_repository_holds_no_key():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, capture_output=True).stdout.split()
    if not tracked:
        pytest.skip("this is no git checkout")
    assert not [
        path for path in tracked if path.startswith("var/") or path.endswith((".env", ".pem", ".key"))
    ]
    for path in tracked:
        if path.endswith(".py") and not path.startswith("tests/"):
            assert "django-insecure" not in (ROOT / path).read_text(encoding="utf-8")


# --- Production ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", sorted(PRODUCTION.keys() - {"HILMIX_PROFILE"}))
def test_production_does_not_start_without_what_it_needs_and_says_what(tmp_path, missing):
    environment = {name: value for name, value in PRODUCTION.items() if name != missing}
    if missing != "REDIS_URL":
        assert missing in refusal(tmp_path, **environment)
        return
    # It stands for two addresses; each is missed for itself.
    assert "CACHE_URL" in refusal(tmp_path, **environment, BROKER_URL="redis://redis.example/0")
    assert "BROKER_URL" in refusal(tmp_path, **environment, CACHE_URL="rediscache://redis.example/1")


def refusal(var: Path, **environment: str) -> str:
    """What is said last by an instance that does not start; it has made no key of its own."""
    done = python("-c", "import hilmix.settings", var=var, **environment)
    assert done.returncode != 0
    assert not (var / "keys").exists()
    said = done.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in said
    return said


@pytest.mark.parametrize("name", ["HILMIX_SECRET_KEY", "HILMIX_IDENTITY_KEY"])
@pytest.mark.parametrize("value", ["", "secret", "x" * 31])
@pytest.mark.parametrize("profile", ["production", "embedded"])
def test_a_key_too_short_to_be_one_is_refused_in_either_profile(tmp_path, name, value, profile):
    environment = {**PRODUCTION, "HILMIX_PROFILE": profile, name: value}
    done = python("-c", "import hilmix.settings", var=tmp_path, **environment)
    assert done.returncode != 0
    assert name in done.stderr.strip().splitlines()[-1]


def test_a_profile_that_does_not_exist_is_refused(tmp_path):
    done = python("-c", "import hilmix.settings", var=tmp_path, HILMIX_PROFILE="debug")
    assert "'embedded' or 'production'" in done.stderr


@pytest.mark.parametrize("value", ["much", "-1", "nan", ""])
def test_a_budget_that_is_no_number_of_gigabytes_is_refused_in_a_sentence(tmp_path, value):
    said = refusal(tmp_path, **PRODUCTION, HILMIX_RUNS_GB=value)
    assert f"HILMIX_RUNS_GB is {value!r}; give a number of gigabytes" in said


def test_a_budget_may_be_part_of_a_gigabyte(tmp_path):
    assert settings_of("HILMIX_RUNS_GB", var=tmp_path, HILMIX_RUNS_GB="0.5") == (0.5,)
    assert settings_of("HILMIX_RUNS_GB", var=tmp_path) == (0.0,)


def test_djangos_own_checks_of_a_deployment_find_nothing(tmp_path):
    # The check of the database's driver is PostgreSQL's own affair; a file will do here.
    environment = {**PRODUCTION, "DATABASE_URL": f"sqlite:///{tmp_path}/x.sqlite3"}
    done = python("manage.py", "check", "--deploy", "--fail-level", "INFO", var=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert "no issues (1 silenced)" in done.stdout + done.stderr


def test_behind_https_cookies_go_over_https_only_and_browsers_are_told_to_stay(tmp_path):
    names = (
        "DEBUG", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS",
        "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS",
    )  # fmt: skip
    assert settings_of(*names, var=tmp_path, **PRODUCTION) == (
        False, True, True, True, 31_536_000, ["hilmix.example"], ["https://hilmix.example"],
    )  # fmt: skip


def test_debug_is_off_and_no_variable_turns_it_on(tmp_path):
    for profile in ("embedded", "production"):
        environment = {**PRODUCTION, "HILMIX_PROFILE": profile, "DEBUG": "true", "HILMIX_DEBUG": "true"}
        assert settings_of("DEBUG", var=tmp_path, DJANGO_DEBUG="true", **environment) == (False,)


# --- Messages between processes -----------------------------------------------------------------------------


def test_workers_take_json_and_nothing_that_could_run():
    assert current_app.conf.accept_content == ["json"]
    assert current_app.conf.task_serializer == "json"
    for kind in ("pickle", "yaml", "application/x-python-serialize"):
        with pytest.raises((ContentDisallowed, EncodeError)):
            loads(b"", kind, "binary", accept=current_app.conf.accept_content)


def test_the_one_task_takes_one_id():
    ours = {name: task for name, task in current_app.tasks.items() if not name.startswith("celery.")}
    assert list(ours) == ["hilmix.jobs.tasks.look"]
    assert list(inspect.signature(tasks.look.run).parameters) == ["job_id"]


def test_every_kind_of_work_takes_a_progress_and_one_id():
    assert {"freeze_release", "run_experiment"} <= set(KINDS)
    for kind in KINDS.values():
        assert len(inspect.signature(kind.handler).parameters) == 2


def test_the_web_process_does_not_load_torch(tmp_path):
    code = (
        "import django, sys; django.setup(); from django.urls import get_resolver; get_resolver().url_patterns; "
        "import hilmix.api, hilmix.wsgi; print(sorted(sys.modules))"
    )
    done = python("-c", code, var=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = set(literal_eval(done.stdout))
    assert {"training", "django", "rest_framework"} <= loaded
    # Of scipy the functions alone that planned tests are reckoned with: all of its statistics would take a second more.
    assert not loaded & {"torch", "torchvision", "sklearn", "scipy.stats"}
