"""Answers to *infer* as a browser sends them, and a participation that gives one to every trial."""

from __future__ import annotations

import uuid
from typing import Any

from django.urls import resolve

from elicitation.flow import saving, services
from elicitation.participants.models import Participation
from elicitation.participants.services import participation_of

MIXTURE: dict[str, Any] = {
    "cannot_tell": False,
    "mixing_percent": 30,
    "confidence_percent": 70,
    "touched": {"mixing": True, "confidence": True},
}
WINDOW: dict[str, Any] = {
    "input_method": "mouse",
    "viewport": [390, 844, 3],
    "image_css_px": 256,
    "image_device_px": 768,
    "enlargement": 64,
    "resampling": "nearest",
    "exposure_ms": None,
}
CANNOT_TELL: dict[str, Any] = {
    "cannot_tell": True,
    "touched": {"mixing": False, "confidence": False},
    "n_moves": {"mixing": 0, "confidence": 0},
    **WINDOW,
}


def destination(address: str) -> tuple[str | None, Participation]:
    """Which page of whom a private address is. Two addresses of one page differ: each is signed with its time."""
    found = resolve(address)
    return found.url_name, participation_of(found.kwargs["link"])


def answer_all(participation: Participation, payload: dict[str, Any] = MIXTURE) -> None:
    """Whatever is missing is answered, and the participation complete."""
    for position in services.missing_positions(participation):
        one = saving.Incoming(id=uuid.uuid4(), position=position, payload=payload)
        saving.save_responses(participation=participation, epoch=1, answers=[one])
    assert services.complete(participation=participation) == []
