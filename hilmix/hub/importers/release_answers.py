"""Reads the answers of a release as they will be stored, checked by the interface that asked; knows no database."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from elicitation.interfaces import interface_named
from elicitation.interfaces.base import Asked, Interface, Payload
from elicitation.interfaces.drawing import DRAWN
from elicitation.studies.models import Source
from hilmix.core.errors import DataError
from hilmix.core.release_tables import pair_key
from hilmix.errors import Invalid
from hilmix.hub.importers.published import check_published, is_published
from hilmix.hub.importers.release_reading import Cells, Facts, Person, levels_in, once, whole_number
from hilmix.hub.importers.release_ways import Way
from hilmix.hub.importers.report import Wrong
from hilmix.hub.importers.rows import MOST, Answer, check_storable, object_in

TABLE = "responses"
MOST_MS = 2**62  # of a time in the study, far beyond any


class Answers:
    """Reads the rows of the table `responses`, each as it was published and what it says."""

    def __init__(
        self,
        facts: Facts,
        classes: Sequence[str],
        pictures: Sequence[Cells],
        ways: Mapping[str, Way],
        people: Mapping[str, Person],
    ) -> None:
        self._facts = facts
        self._classes = tuple(classes)
        self._pictures = {one["key"]: one for one in pictures}
        self._pairs = {pair_key(one["first_index"], one["second_index"]): one for one in pictures}
        self._lambdas = tuple(sorted({one["lambda_e4"] for one in pictures}))
        self._ways = ways
        self._people = people
        self._could: dict[tuple[str, str], Payload] = {}
        self._places: set[tuple[str, int]] = set()

    def read(self, cells: Cells) -> tuple[Mapping[str, Any], Answer]:
        """The row as it was published, and the answer."""
        return _source_row(cells), self._answer(cells)

    def _answer(self, cells: Cells) -> Answer:
        if cells["participant"] not in self._people:
            raise Wrong("participant", f"There is no participant {cells['participant']!r}.")
        name = cells.get("condition") or ""
        if (way := self._ways.get(name)) is None:
            raise Wrong("condition", f"There is no condition {name!r}.")
        interface = interface_named(way.interface)
        picture, by_pair = self._picture(cells, interface)
        position = whole_number("position", cells["position"], MOST)
        once("position", (cells["participant"], position), self._places)
        asked = Asked(
            classes=self._classes,
            first_class=picture["first_class"],
            second_class=picture["second_class"],
            lambdas_e4=self._lambdas if by_pair else (),
            options=way.options,
        )
        params = object_in("drawn", cells["drawn"]) if "drawn" in cells else {"left": cells["left"]}
        self._check_drawn(params, interface, asked)
        payload = object_in("payload", cells["payload"])
        self._check_payload(payload, interface, replace(asked, params=params))
        return Answer(
            subject=cells["participant"],
            parents=(picture["first_index"], picture["second_index"]),
            lambda_e4=None if by_pair else picture["lambda_e4"],
            payload=payload,
            params=params,
            repeat=cells["repeat"],
            condition=name,
            levels=levels_in(cells, self._facts.factors),
            position=position,
            rt_ms=_time(cells["rt_ms"]),
            trial_index=_whole_or_none(cells, "trial_index", MOST),
            time_elapsed_ms=_whole_or_none(cells, "time_elapsed_ms", MOST_MS),
            attempt=whole_number("attempt", cells.get("attempt", 1), MOST),
        )

    def _picture(self, cells: Cells, interface: Interface) -> tuple[Cells, bool]:
        """What the answer is about, a mixed image or any of those of a pair; and which of both."""
        unit = cells.get("unit", "mixed_image")
        if unit != interface.UNIT:
            raise Wrong("unit", f"unit is {unit!r}, but {interface.NAME} asks about a {interface.UNIT}.")
        by_pair = unit == "pair"
        picture = (self._pairs if by_pair else self._pictures).get(cells["key"])
        if picture is None:
            raise Wrong("key", f"key is {cells['key']!r}, which is in no row of mixed_images.")
        return picture, by_pair

    def _check_drawn(self, params: Payload, interface: Interface, asked: Asked) -> None:
        """Raise Wrong unless `params` could have been drawn; of published answers sides are not always known."""
        could = self._could_draw(interface, asked)
        if unknown := params.keys() - could.keys():
            raise Wrong("drawn", f"{interface.NAME} draws no {min(unknown)!r}.")
        for name, value in could.items():
            said = params.get(name)
            if name in DRAWN:
                unknown_side = name == "left" and self._facts.source == Source.IMPORTED and said is None
                fits = unknown_side or said in DRAWN[name]
            else:
                fits = name not in params or _is_order(said, value)
            if not fits:
                raise Wrong("drawn", f"{name} is {said!r}, which {interface.NAME} never draws.")

    def _could_draw(self, interface: Interface, asked: Asked) -> Payload:
        """What might have been drawn for one trial; drawn once for all trials that are asked alike."""
        alike = interface.NAME, repr(asked.options)
        if alike not in self._could:
            (self._could[alike],) = interface.draw_params(random.Random(0), [asked])  # noqa: S311
        return self._could[alike]

    def _check_payload(self, payload: Payload, interface: Interface, asked: Asked) -> None:
        """Raise Wrong unless the interface takes this answer, or it is one as it was published elsewhere."""
        try:
            if self._facts.source == Source.IMPORTED and is_published(interface.NAME, payload):
                check_published(payload, asked)
            elif not payload.items() <= interface.clean(payload, asked).items():
                raise Invalid("The answer is not in the form in which it is stored.")
            interface.judgement(payload, asked)
        except (Invalid, DataError) as error:
            raise Wrong("payload", str(error)) from None


def _is_order(said: Any, value: Sequence[Any]) -> bool:
    return isinstance(said, list) and sorted(map(repr, said)) == sorted(map(repr, value))


def _time(rt_ms: float | None) -> int | None:
    if rt_ms is None:
        return None
    if not 0 <= rt_ms <= MOST:
        raise Wrong("rt_ms", f"rt_ms is {rt_ms!r}, not a number from 0 to {MOST}.")
    return round(rt_ms)


def _whole_or_none(cells: Cells, column: str, most: int) -> int | None:
    value = cells.get(column)
    return None if value is None else whole_number(column, value, most)


def _source_row(cells: Cells) -> Mapping[str, Any]:
    """The row as it was published: that of the table it first came from, or of this one."""
    if source := cells.get("source_row"):
        return object_in("source_row", source)
    for column, value in cells.items():
        try:
            check_storable(value)
        except ValueError as error:
            raise Wrong(column, f"{column} is {value!r}, which cannot be kept ({error}).") from None
    return cells
