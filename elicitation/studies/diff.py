"""What differs between two contents of a protocol, in words that a researcher reads. Pure.

Both are read first, so that what an older version of hilmix did not say is compared as what it stood for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from elicitation.studies.fields import AmountField, MixedImagesField, QuestionsField
from elicitation.studies.labels import setting_label, text_label
from elicitation.studies.protocol import settings_of
from elicitation.studies.texts import BY_NAME, texts_of
from hilmix.core.mixing import lambda_text

LONG = 100  # characters from which a text is shown by lines
AROUND = 1  # lines shown around those that differ
PARTS = ("design", "display", "flow", "payment", "stop")
GAP = "…"


@dataclass(frozen=True)
class Line:
    """A line of a long text: `kind` is "same", "removed" or "added"."""

    kind: str
    text: str


@dataclass(frozen=True)
class Difference:
    """One thing that differs: its label, what it was and what it is; None where it was not there, or is no more.

    Of a long text `lines` holds the lines that differ and those around them.
    """

    label: str
    before: str | None
    after: str | None
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class _Said:
    """One thing that a content says: its name for people, the value that is compared, and the value for people."""

    label: str
    value: Any
    text: str


_Path = tuple[str, ...]


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], classes: Sequence[str] = ()
) -> list[Difference]:
    """What `after` says otherwise than `before`, in the order of a protocol; empty where they say the same.

    Args:
        classes: the names of the image set's classes, for the class pairs; without them pairs are told by index.
    """
    old, new = dict(_said(before, classes)), dict(_said(after, classes))
    found = []
    lost = _lost(before, after)
    for path in {**new, **old}:
        was, now = old.get(path), new.get(path)
        if whole := next((whole for whole in lost if path[: len(whole)] == whole), None):
            if (gone := lost[whole]) not in found:
                found.append(gone)
        elif was is None or now is None or was.value != now.value:
            found.append(_difference(was, now))
    return found


def _lost(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[_Path, Difference]:
    """The factors, levels and hypotheses that are no more, each told once and not piece by piece."""
    old, new = dict(_wholes(before)), dict(_wholes(after))
    gone = [path for path in old if path not in new]
    return {path: Difference(*old[path], None) for path in gone}


def _wholes(content: Mapping[str, Any]) -> Iterator[tuple[_Path, tuple[str, str]]]:
    """What a content says in many pieces, by the path of them all: its label, and itself in a line."""
    settings = settings_of(content)
    for factor in settings.factors:
        label = _("Factor %(name)s") % {"name": factor.name}
        names = [level.name for level in factor.levels]
        yield ("factors", factor.name), (label, _value(names))
        for name in names:
            yield ("factors", factor.name, "levels", name), (f"{label}: {_('level')}", name)
    for hypothesis in settings.hypotheses:
        label = _("Hypothesis %(name)s") % {"name": hypothesis.name}
        yield ("hypotheses", hypothesis.name), (label, hypothesis.statement)


def _difference(was: _Said | None, now: _Said | None) -> Difference:
    label = (now or was).label  # type: ignore[union-attr]  # one of them is there
    before, after = (None if said is None else said.text for said in (was, now))
    texts = [text or "" for text in (before, after)]
    long = any("\n" in text or len(text) > LONG for text in texts)
    return Difference(label, before, after, tuple(_lines(*texts)) if long else ())


def _lines(before: str, after: str) -> Iterator[Line]:
    old, new = before.splitlines(), after.splitlines()
    groups = list(difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(AROUND))
    for number, group in enumerate(groups):
        if number or group[0][1]:
            yield Line("same", GAP)
        for kind, old_start, old_end, new_start, new_end in group:
            if kind == "equal":
                yield from (Line("same", line) for line in old[old_start:old_end])
            else:
                yield from (Line("removed", line) for line in old[old_start:old_end])
                yield from (Line("added", line) for line in new[new_start:new_end])
    if groups and groups[-1][-1][2] < len(old):
        yield Line("same", GAP)


# -- what a content says, by path


def _said(content: Mapping[str, Any], classes: Sequence[str]) -> Iterator[tuple[_Path, _Said]]:
    settings = settings_of(content).as_content()
    image_set = content["image_set"]
    yield _setting(("image_set",), dict(image_set), f"{image_set['name']} ({image_set['sha256'][:12]})")
    interface = settings["interface"]
    for name in ("name", "version"):
        yield _setting(("interface", name), interface[name])
    for name, value in interface["options"].items():
        label = f"{setting_label('interface', 'options')}: {name}"
        yield ("interface", "options", name), _Said(label, value, _value(value))
    for name in ("language", "perspective", "bonus", "timing_reason"):
        yield _setting((name,), settings[name])
    for part in PARTS:
        for name, value in settings[part].items():
            pairs = _pairs(value, classes) if name == "class_pairs" else None
            yield _setting((part, name), value, pairs)
    yield from _factors(settings["factors"])
    yield from _rules(settings["rules"])
    yield from _hypotheses(settings["hypotheses"])
    yield from _texts(content)


def _setting(path: _Path, value: Any, text: str | None = None) -> tuple[_Path, _Said]:
    if text is None:
        text = AmountField.written(value) if path[-1].endswith("_e2") else _value(value, of=path[-1])
    return path, _Said(setting_label(*path), value, text)


def _factors(factors: Sequence[Mapping[str, Any]]) -> Iterator[tuple[_Path, _Said]]:
    names = [factor["name"] for factor in factors]
    yield ("factors",), _Said(_("Factors"), names, _value(names))
    for factor in factors:
        label = _("Factor %(name)s") % {"name": factor["name"]}
        levels = [level["name"] for level in factor["levels"]]
        for name, value in (("varies", factor["varies"]), ("order", factor["order"]), ("levels", levels)):
            yield ("factors", factor["name"], name), _Said(f"{label}: {name}", value, _value(value))
        for level in factor["levels"]:
            for name, value in level["set"].items():
                for key, said in _set(name, value):
                    path = ("factors", factor["name"], "levels", level["name"], name, *key)
                    yield path, _Said(f"{label}, {level['name']}: {said.label}", said.value, said.text)


def _set(name: str, value: Any) -> Iterator[tuple[_Path, _Said]]:
    """What a level sets, piece by piece."""
    if name == "interface":
        yield (), _Said(setting_label("interface", "name"), value, _value(value))
    elif name in ("options", "display", "wording"):
        for part, one in value.items():
            label = text_label(name, part) if name == "wording" else setting_label(name, part)
            yield (part,), _Said(label, one, _value(one))
    elif name in ("perspective", "bonus"):
        yield (), _Said(setting_label(name), value, _value(value))
    else:
        yield (), _Said(text_label(name), value, _text(name, value))


def _rules(rules: Sequence[Mapping[str, Any]]) -> Iterator[tuple[_Path, _Said]]:
    for rule in rules:
        label = _("Rule %(flag)s") % {"flag": rule["flag"].replace("_", " ")}
        limits = ", ".join(f"{name} {_value(value)}" for name, value in rule["params"].items())
        effect = _("leaves out of labels") if rule["excludes"] else _("flags only")
        said = "; ".join(part for part in (limits, effect, rule["reason"]) if part)
        yield ("rules", rule["flag"]), _Said(label, dict(rule), said)


def _hypotheses(hypotheses: Sequence[Mapping[str, Any]]) -> Iterator[tuple[_Path, _Said]]:
    for hypothesis in hypotheses:
        for name, value in hypothesis.items():
            if name != "name":
                label = _("Hypothesis %(name)s") % {"name": hypothesis["name"]}
                said = _Said(f"{label}: {name.removesuffix('s_e4')}", value, _value(value, of=name))
                yield ("hypotheses", hypothesis["name"], name), said


def _texts(content: Mapping[str, Any]) -> Iterator[tuple[_Path, _Said]]:
    imported = "consent" not in content["texts"]  # what others said is not in the form of ours
    texts = content["texts"] if imported else texts_of(content).as_content()
    for name, value in texts.items():
        if name in BY_NAME:
            for part, text in value.items():
                yield ("texts", name, part), _Said(text_label(name, part), text, text)
        elif name in ("boxes", "survey"):
            names = [item["name"] for item in value]
            order = f"{text_label(name)}: {_('names in order')}"
            yield ("texts", name), _Said(order, names, _value(names))
            for item in value:
                label = text_label(name, item["name"])
                yield ("texts", name, item["name"]), _Said(label, item, _item(item))
        else:
            yield ("texts", name), _Said(text_label(name), value, _text(name, value))


# -- values for people


def _text(name: str, value: Any) -> str:
    if name == "instructions":
        return "\n---\n".join(value)
    if name == "comprehension":
        return QuestionsField.written(value)
    return str(value)


def _item(item: Mapping[str, Any]) -> str:
    """A consent box or a closing question."""
    said = [item.get("text") or item.get("prompt", "")]
    if item.get("kind") == "likert":
        said.append(f"{item['points']}: {item['low']} – {item['high']}")
    elif "kind" in item:
        said.append(_("free text"))
    said.append(_("required") if item["required"] else _("not required"))
    return "; ".join(said)


def _value(value: Any, of: str = "") -> str:
    if of == "mixed_images":
        return MixedImagesField.written(value) or _("none")
    if of == "lambdas_e4":
        return ", ".join(lambda_text(one) for one in value) or _("none")
    if value is None or value in ("", [], ()):
        return _("none")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _pairs(pairs: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    named = [[classes[index] if index < len(classes) else str(index) for index in pair] for pair in pairs]
    return ", ".join("–".join(pair) for pair in named) or _("all")
