"""What the parts of a protocol are called on researchers' pages, in differences and in messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from elicitation.studies.texts import INFORMATION

# The settings by their place in a protocol's content.
SETTINGS: Mapping[tuple[str, ...], Promise | str] = {
    ("image_set",): _("Image set"),
    ("interface", "name"): _("Interface"),
    ("interface", "version"): _("Version of the interface"),
    ("interface", "options"): _("Option"),
    ("language",): _("Language"),
    ("perspective",): _("Perspective"),
    ("bonus",): _("Bonus rule"),
    ("timing_reason",): _("Why times are recorded"),
    ("design", "n_mixed_images"): _("Mixed images"),
    ("design", "lambdas_e4"): _("Mixing coefficients λ"),
    ("design", "trials_per_person"): _("Trials a person"),
    ("design", "repeats"): _("Repeated trials a person"),
    ("design", "answers_per_unit"): _("Answers per mixed image and cell"),
    ("design", "seed"): _("Seed"),
    ("design", "same_class"): _("Also mix images of one class"),
    ("design", "class_pairs"): _("Class pairs"),
    ("design", "mixed_images"): _("Named mixed images"),
    ("design", "method"): _("How images are mixed"),
    ("design", "lease_minutes"): _("Minutes until a place is given to somebody else"),
    ("design", "checks"): _("Attention checks a person"),
    ("design", "check_images"): _("Images for attention checks"),
    ("design", "example_images"): _("Images for instructions and practice"),
    ("display", "enlargement"): _("Enlargement"),
    ("display", "pixels"): _("Enlargement counts"),
    ("display", "resampling"): _("Resampling"),
    ("display", "exposure_ms"): _("Milliseconds until a mask covers the picture"),
    ("flow", "max_comprehension_rounds"): _("Rounds of the comprehension check"),
    ("flow", "break_every"): _("A break every so many trials"),
    ("flow", "resume_gap_minutes"): _("Minutes away until the short instructions are shown again"),
    ("flow", "withdraw_days"): _("Days in which one can withdraw"),
    ("flow", "withdrawal"): _("Withdrawing"),
    ("flow", "min_width_px"): _("Least width of the window"),
    ("payment", "currency"): _("Currency"),
    ("payment", "reward_e2"): _("Reward"),
    ("payment", "minutes"): _("Estimated minutes"),
    ("payment", "bonus"): _("Kind of bonus"),
    ("payment", "bonus_e2"): _("Bonus, at most"),
    ("stop", "rule"): _("Enough when"),
    ("stop", "width"): _("Width of the interval of a label"),
}
TEXTS: Mapping[str, Promise] = {
    "consent": _("Consent"),
    "information": _("What people are told before they consent"),
    "boxes": _("Consent box"),
    "declined": _("Not taking part"),
    "instructions": _("Instructions"),
    "short_instructions": _("Short instructions"),
    "comprehension": _("Questions about the controls"),
    "wording": _("Said at each trial"),
    "break": _("Break"),
    "survey": _("Closing question"),
    "debrief": _("Debrief"),
    "thanks": _("Thanks"),
    "withdrawal": _("Withdrawing: what is said"),
}


def setting_label(*path: str) -> str:
    """What a setting is called; its place in the content where it has no name of its own."""
    return str(SETTINGS.get(path) or ", ".join(path).replace("_", " "))


def words_of(name: str) -> str:
    """A name of the code as words: `mixing percent` of `mixing_percent`, `moves` of `n_moves`."""
    return name.removeprefix("n_").replace("_", " ")


def value_in_words(value: Any) -> str:
    """A stored value as pages say it; numbers with four digits that matter."""
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, dict):
        return ", ".join(f"{name} {value_in_words(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(value_in_words(one) for one in value) or "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def text_label(name: str, part: str = "") -> str:
    """What a text is called; `part` is the name of one piece of information, wording, box or question."""
    label = str(TEXTS.get(name, name))
    if not part:
        return label
    if name == "information":
        return str(INFORMATION.get(part, part))
    return f"{label}: {part}"
