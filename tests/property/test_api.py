"""Every call of the API, sent what its documentation allows and what it does not: never an error of ours, and no answer
that the documentation does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.security.conftest import _module_world, world  # noqa: F401
from tests.security.routes import ROUTES
from tests.security.world import World

SCHEMA = schemathesis.openapi.from_wsgi("/api/schema/", get_wsgi_application())
OPERATIONS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations()}
CHECKED = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """A request of the tests ends, and their transaction goes on."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def something(world: World, path: str) -> dict[str, str]:  # noqa: F811
    """What fills the parameters of a documented address so that it leads to something."""
    pattern = re.compile(
        re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)).replace("path>[^/]", "path>.")
    )
    found = (pattern.fullmatch(world.address(name)) for name in ROUTES if name.startswith(("api_", "part")))
    return next(match.groupdict() for match in found if match)


@pytest.mark.parametrize("label", OPERATIONS)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_call_answers_to_anything_and_as_it_is_documented(world, label, data):  # noqa: F811
    operation = OPERATIONS[label]
    case = data.draw(operation.as_strategy())
    known = something(world, operation.path)
    if known and data.draw(st.integers(0, 3)):
        case.path_parameters = known
    callers = ["holder", "public"] if "/participation/" in label else ["owner", "admin", "viewer", "public"]
    caller = world[data.draw(st.sampled_from(callers))]
    with transaction.atomic():
        case.call_and_validate(headers=caller.headers, checks=CHECKED)
        transaction.set_rollback(True)
