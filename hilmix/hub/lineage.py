"""Where anything comes from and what was made of it: image set → study → mixed image → trial → response → release, and
on to what other apps register: experiment → run → report.

The kinds stand in one chain. Each says by which look-ups its objects are reached from those of other kinds, so a walk
up or down the chain is a few nested queries, however many objects there are. What one may not see is not on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Model, QuerySet
from django.utils.functional import Promise

from hilmix.accounts.models import User
from hilmix.errors import NotFound

SHOWN = 5  # objects of a kind that are named; of more, the number is said

Many = QuerySet[Any]
Step = Callable[[Many, Many], Many]  # those that one may see, and where one comes from → those reached


@dataclass(frozen=True)
class Node:
    """One object on the way. `hash_of` says what `sha256` is the hash of; `url` is its own page, if it has one;
    `watermark` stands where answers are simulated."""

    kind: str
    key: str
    title: str
    url: str
    sha256: str
    hash_of: str
    facts: tuple[str, ...] = ()
    warning: str = ""
    watermark: str = ""


@dataclass(frozen=True)
class Kind:
    """A kind of object in the chain.

    `visible` gives those a person may see, with all that `describe` needs · `steps` says of other kinds how to come
    from their objects to these.
    """

    name: str
    words: str | Promise
    visible: Callable[[User], Many]
    describe: Callable[[Sequence[Any]], Iterable[Node]]
    steps: Mapping[str, Step]


def by_one(path: str, **more: object) -> Step:
    """Over a look-up that leads from each object to one other at most."""
    return lambda visible, start: visible.filter(**{f"{path}__in": start, **more})


def by_many(path: str, **more: object) -> Step:
    """Over a look-up that may lead to several: each object is reached once."""

    def step(visible: Many, start: Many) -> Many:
        found = visible.model._default_manager.filter(**{f"{path}__in": start, **more})
        return visible.filter(pk__in=found.order_by().values("pk"))

    return step


def by_finding(find: Callable[[Many], Many]) -> Step:
    """By a function from where one comes from to what is reached, if one may see it."""
    return lambda visible, start: visible.filter(pk__in=find(start).order_by().values("pk"))


@dataclass(frozen=True)
class Level:
    """What of one kind is on the way: how many, and the first of them."""

    kind: str
    words: str
    n: int
    nodes: list[Node]

    @property
    def n_more(self) -> int:
        """How many are not named."""
        return self.n - len(self.nodes)


@dataclass(frozen=True)
class Trace:
    """An object, what it was made from (the image set first) and what was made of it (reports last)."""

    node: Node
    above: list[Level]
    below: list[Level]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


CHAIN: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Put `kind` at the end of the chain."""
    CHAIN[kind.name] = kind


def trace(person: User, name: str, key: str) -> Trace:
    """The way of one object as far as `person` may see it. Raises NotFound."""
    nothing = NotFound("There is no such object, or you may not see it.")
    if (kind := CHAIN.get(name)) is None:
        raise nothing
    try:
        found = kind.visible(person).get(pk=key)
    except (ObjectDoesNotExist, ValidationError, ValueError, OverflowError):
        raise nothing from None
    names = list(CHAIN)
    at = names.index(name)
    (node,) = kind.describe([found])
    return Trace(
        node=node,
        above=list(_walk(person, kind, found, names[:at][::-1]))[::-1],
        below=list(_walk(person, kind, found, names[at + 1 :])),
    )


def _walk(person: User, kind: Kind, found: Model, names: Iterable[str]) -> Iterator[Level]:
    """Go along `names`, each reached from the first kind on the way that leads to it."""
    way: dict[str, Many] = {kind.name: type(found)._default_manager.filter(pk=found.pk)}
    for name in names:
        one = CHAIN[name]
        start = next(near for near in way if near in one.steps)
        visible = one.visible(person)
        way[name] = one.steps[start](visible, way[start])
        # The keys first: rows may be many and wide, and only a few are shown.
        keys = list(way[name].order_by("pk").values_list("pk", flat=True)[:SHOWN])
        nodes = list(one.describe(list(visible.filter(pk__in=keys).order_by("pk"))))
        yield Level(name, str(one.words), way[name].count(), nodes)
