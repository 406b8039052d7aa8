"""The API's documentation as a page of ours: operations and types, read from the same schema as `/api/schema/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

Part = Mapping[str, Any]


@login_not_required
@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """What programs can ask for, with what they send and are sent."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    components = schema["components"]
    context = {
        "description": schema["info"]["description"],
        "schemes": components.get("securitySchemes", {}),
        "operations": list(_operations(schema["paths"])),
        "types": list(_types(components["schemas"])),
    }
    return render(request, "api_docs.html", context)


def _operations(paths: Part) -> Iterator[dict[str, Any]]:
    for path, verbs in paths.items():
        for verb, operation in verbs.items():
            yield {
                "name": operation["operationId"],
                "verb": verb.upper(),
                "path": path,
                "description": operation.get("description", ""),
                "schemes": [name for scheme in operation.get("security", []) for name in scheme],
                "parameters": [
                    {**parameter, "says": _said(parameter["schema"])}
                    for parameter in operation.get("parameters", [])
                ],
                "body": _content(operation.get("requestBody", {})),
                "replies": [
                    {"status": status, "description": reply.get("description", ""), **_content(reply)}
                    for status, reply in operation["responses"].items()
                ],
            }


def _types(schemas: Part) -> Iterator[dict[str, Any]]:
    for name, schema in schemas.items():
        required = schema.get("required", [])
        yield {
            "name": name,
            "values": schema.get("enum", []),
            "fields": [
                {"name": field, "required": field in required, "says": _said(part)}
                for field, part in schema.get("properties", {}).items()
            ],
        }


def _content(part: Part) -> dict[str, Any]:
    """What a body or a reply consists of; nothing where it has no content."""
    for media, content in part.get("content", {}).items():
        return {"media": media, "says": _said(content.get("schema", {}))}
    return {}


def _said(schema: Part) -> dict[str, Any]:
    """A schema in few words: `text` before the type of ours that it leads to, and what its values may be."""
    if "items" in schema:
        inner = _said(schema["items"])
        return {**inner, "text": f"list of {inner['text']}".rstrip()}
    if (reference := schema.get("$ref")) or (reference := _only_reference(schema)):
        return {"text": "", "type": reference.rpartition("/")[2], "limits": _limits(schema)}
    return {"text": schema.get("format") or schema.get("type", "anything"), "limits": _limits(schema)}


def _only_reference(schema: Part) -> str:
    """Where a reference has words of its own, it is wrapped."""
    parts = schema.get("allOf") or schema.get("oneOf") or [{}]
    return str(parts[0].get("$ref", ""))


def _limits(schema: Part) -> str:
    names = {"minimum": "from", "maximum": "to", "maxLength": "characters at most", "default": "default"}
    said = [f"{word} {schema[name]}" for name, word in names.items() if name in schema]
    return ", ".join(said + ["or null"] * bool(schema.get("nullable")))
