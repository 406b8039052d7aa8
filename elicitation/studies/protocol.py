"""What a protocol says, as frozen dataclasses: read once from its stored JSON, old versions included.

The stored content is hashed and never rewritten; what an older version did not say has the value given here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from django.utils.translation import gettext_noop

from elicitation.studies.factors import Factor, read_factors
from elicitation.studies.hypotheses import Hypothesis, read_hypotheses
from elicitation.studies.payment import Payment, Stop
from elicitation.studies.rules import Rule, read_rules
from hilmix.core.errors import DataError
from hilmix.core.mixing import DEFAULT_METHOD, METHODS, lambda_text, mix
from hilmix.errors import Invalid

PERSPECTIVES = ("you", "100 others")
RESAMPLINGS = ("nearest", "bicubic")
PIXELS = ("css", "device")
WITHDRAWALS = ("delete", "anonymise")
REPEAT_GAP = 16  # a repeat comes this many places after its first showing: at least 15 trials lie between
CHECK_GAP = 5  # places between two attention checks
DEFAULT_TIMING_REASON = gettext_noop(
    "How long an answer took, and whether the window was left meanwhile, show how much attention an answer got;"
    " answers are weighed and checked with it."
)

Problems = dict[str, list[str]]


@dataclass(frozen=True)
class Design:
    """What is shown to how many: the numbers a researcher chooses.

    `n_mixed_images` counts units: mixed images, or pairs where the interface asks about pairs. `seed` decides which
    parents are mixed; `answers_per_unit` is how many people answer each unit. `checks` attention checks are asked of
    each person about `check_images` (positions in the image set; empty: those that at least 95% of people agree on).
    `example_images` are positions reserved for instructions and practice (empty: drawn when the study is created).
    `class_pairs` are the pairs of classes that are mixed, by their indices (empty: all of two classes, and those of one
    class if `same_class`); a pair of a class with itself mixes images of that class.
    `mixed_images` are the mixed images to ask about, as positions of both parents and λ in ten-thousandths (empty:
    drawn); then the seed only deals them to people. `method` is how all are mixed (`hilmix.core.mixing`).
    """

    n_mixed_images: int = 60
    lambdas_e4: tuple[int, ...] = (1000, 2500, 5000, 7500, 9000)
    trials_per_person: int = 30
    repeats: int = 2
    answers_per_unit: int = 9
    seed: int = 1
    same_class: bool = False
    lease_minutes: int = 60
    checks: int = 0
    check_images: tuple[int, ...] = ()
    example_images: tuple[int, ...] = ()
    class_pairs: tuple[tuple[int, int], ...] = ()
    mixed_images: tuple[tuple[int, int, int], ...] = ()
    method: str = DEFAULT_METHOD

    @property
    def parents(self) -> frozenset[int]:
        """The images that the mixed images named in the design are made of."""
        return frozenset(index for *pair, _share in self.mixed_images for index in pair)

    def check(self) -> None:
        """Raise Invalid, naming the field, where the numbers do not fit together."""
        if problems := self.problems() or self.order_problems():
            said = " ".join(message for messages in problems.values() for message in messages)
            raise Invalid(f"The design does not fit together. {said}", fields=problems)

    def problems(self) -> Problems:
        """What is outside its range, by field."""
        problems: Problems = {}
        if not 1 <= self.n_mixed_images <= 100_000:
            problems["n_mixed_images"] = ["Between 1 and 100,000."]
        if not 1 <= self.trials_per_person <= min(self.n_mixed_images, 500):
            problems["trials_per_person"] = ["At least 1, and at most the number of mixed images or 500."]
        if not 0 <= self.repeats <= self.trials_per_person // 2:
            problems["repeats"] = ["Between 0 and half the trials a person answers."]
        if not 1 <= self.answers_per_unit <= 1000:
            problems["answers_per_unit"] = ["Between 1 and 1,000."]
        if not self.lambdas_e4 or not all(0 <= value <= 10_000 for value in self.lambdas_e4):
            problems["lambdas"] = ["At least one value, each from 0 to 1."]
        if len(set(self.lambdas_e4)) != len(self.lambdas_e4):
            problems["lambdas"] = ["A value is there twice."]
        if not 0 <= self.seed < 2**32:
            problems["seed"] = ["A whole number from 0 to 4,294,967,295."]
        if self.lease_minutes and not 5 <= self.lease_minutes <= 24 * 60:
            problems["lease_minutes"] = [
                "Between 5 minutes and a day, or 0 to reckon it from the estimated minutes."
            ]
        return problems | self._reserved_problems() | self._class_problems() | self._given_problems()

    def order_problems(self) -> Problems:
        """What leaves no room to order one person's trials, by field. Answers that exist already need no order."""
        problems: Problems = {}
        needed = REPEAT_GAP + 2 * self.repeats
        if self.repeats and self.trials_per_person < needed:
            problems["repeats"] = [
                f"At least {REPEAT_GAP - 1} trials lie between a trial and its repeat, so {self.repeats} repeats need"
                f" {needed} trials a person."
            ]
        if self.checks == 1 or self.checks < 0:
            problems["checks"] = ["None, or at least 2: one failure alone says little."]
        elif self.trials_per_person < CHECK_GAP * self.checks:
            problems["checks"] = [
                f"Checks stand at least {CHECK_GAP} trials apart, so {self.checks} checks need"
                f" {CHECK_GAP * self.checks} trials a person."
            ]
        return problems

    def _class_problems(self) -> Problems:
        chosen = [frozenset(pair) for pair in self.class_pairs]
        if len(set(chosen)) != len(chosen):
            return {"class_pairs": ["A pair of classes is there twice."]}
        if chosen and self.same_class:
            return {"same_class": ["Where the class pairs are chosen, name those of one class among them."]}
        if len(chosen) > self.n_mixed_images:
            return {"class_pairs": ["At most as many pairs as there are mixed images."]}
        return {}

    def _given_problems(self) -> Problems:
        problems: Problems = {}
        if self.method not in METHODS:
            problems["method"] = [_one_of(tuple(METHODS))]
        elif not_mixed := self._not_mixed():
            problems["lambdas"] = [not_mixed]
        if not self.mixed_images:
            return problems
        said = []
        if len(self.mixed_images) != self.n_mixed_images:
            said.append(
                f"{len(self.mixed_images)} are named, and the number of mixed images is {self.n_mixed_images}."
            )
        if len(set(self.mixed_images)) < len(self.mixed_images):
            said.append("One is there twice.")
        if any(first == second for first, second, _share in self.mixed_images):
            said.append("An image is not mixed with itself.")
        if others := sorted({share for *_parents, share in self.mixed_images} - set(self.lambdas_e4)):
            said.append(f"These λ are not among those of the study: {', '.join(map(lambda_text, others))}.")
        if self.class_pairs:
            said.append("Where they are named, no class pairs are chosen.")
        if both := sorted(self.parents & {*self.example_images, *self.check_images}):
            listed = ", ".join(map(str, both))
            said.append(
                f"Also an image of the examples or checks: {listed}. Empty those, and others are drawn."
            )
        return problems | ({"mixed_images": said} if said else {})

    def _not_mixed(self) -> str:
        """Why the method does not mix at a λ of the design; empty where it does at all."""
        dot = np.zeros((1, 1, 1), np.uint8)
        try:
            for lambda_e4 in self.lambdas_e4:
                if 0 <= lambda_e4 <= 10_000:  # what is not is refused already
                    mix(dot, dot, lambda_e4, self.method)
        except DataError as error:
            return str(error)
        return ""

    def _reserved_problems(self) -> Problems:
        problems: Problems = {}
        if self.check_images and not self.checks:
            problems["check_images"] = [
                "Say how many attention checks each person gets, or leave this empty."
            ]
        elif 0 < len(self.check_images) < self.checks:
            problems["check_images"] = [f"At least {self.checks} images: nobody sees one twice."]
        if (n := len(self.example_images)) and (n < 4 or n % 2):
            problems["example_images"] = ["At least four images and an even number: two for each example."]
        for name in ("check_images", "example_images"):
            images = getattr(self, name)
            if len(set(images)) != len(images):
                problems[name] = ["An image is there twice."]
        if both := sorted(set(self.example_images) & set(self.check_images)):
            problems["example_images"] = [
                f"Also an image of an attention check: {', '.join(map(str, both))}. Choose others."
            ]
        return problems


@dataclass(frozen=True)
class Display:
    """How a picture is shown.

    `enlargement` whole times its native size (None: what the window has room for), counted in `pixels` (css or
    device), resampled `nearest` or `bicubic` before it is shown; `exposure_ms` until a mask covers it (None: no limit).
    """

    enlargement: int | None = None
    pixels: str = "css"
    resampling: str = "nearest"
    exposure_ms: int | None = None

    def problems(self) -> Problems:
        """What is outside its range, by field."""
        problems: Problems = {}
        if self.enlargement is not None and not 1 <= self.enlargement <= 64:
            problems["enlargement"] = ["A whole number from 1 to 64, or empty."]
        if self.pixels not in PIXELS:
            problems["pixels"] = [_one_of(PIXELS)]
        if self.resampling not in RESAMPLINGS:
            problems["resampling"] = [_one_of(RESAMPLINGS)]
        if self.exposure_ms is not None and not 20 <= self.exposure_ms <= 60_000:
            problems["exposure_ms"] = ["From 20 to 60,000 milliseconds, or empty for no limit."]
        return problems


@dataclass(frozen=True)
class Flow:
    """The way through the study: rounds of the comprehension check, breaks, coming back, withdrawing."""

    max_comprehension_rounds: int = 5
    break_every: int = 20  # trials between two offered breaks; 0 for none
    resume_gap_minutes: int = 30  # away longer: the short instructions are shown again
    withdraw_days: int = 30  # from taking part; until then the private link withdraws
    withdrawal: str = "delete"  # or "anonymise": answers stay, nothing leads to the person
    min_width_px: int = 0  # css pixels that the window must be wide; 0 for any

    def problems(self) -> Problems:
        """What is outside its range, by field."""
        problems: Problems = {}
        if not 1 <= self.max_comprehension_rounds <= 20:
            problems["max_comprehension_rounds"] = ["Between 1 and 20."]
        if self.break_every != 0 and not 5 <= self.break_every <= 500:
            problems["break_every"] = ["0 for no breaks, or a break every 5 to 500 trials."]
        if not 1 <= self.resume_gap_minutes <= 7 * 24 * 60:
            problems["resume_gap_minutes"] = ["Between a minute and a week."]
        if not 0 <= self.withdraw_days <= 3650:
            problems["withdraw_days"] = ["Between 0 and 3,650 days."]
        if self.withdrawal not in WITHDRAWALS:
            problems["withdrawal"] = [_one_of(WITHDRAWALS)]
        if not 0 <= self.min_width_px <= 4000:
            problems["min_width_px"] = ["0 for any window, or at most 4,000 pixels."]
        return problems


def _one_of(values: tuple[str, ...]) -> str:
    return f"One of {', '.join(repr(value) for value in values)}."


@dataclass(frozen=True)
class Settings:
    """All of a protocol but its texts (`texts.py`). `bonus` is the rule's text as shown, empty for none.

    What varies between or within people is in `factors`; `ways.settings_with` reads the settings as some levels have
    them. `timing_reason` says why times and focus events are recorded; without a reason none are.
    """

    interface: str
    interface_version: int
    options: Mapping[str, Any] = field(default_factory=dict)
    language: str = "en-gb"
    perspective: str = "you"
    bonus: str = ""
    timing_reason: str = ""
    display: Display = field(default_factory=Display)
    flow: Flow = field(default_factory=Flow)
    design: Design = field(default_factory=Design)
    factors: tuple[Factor, ...] = ()
    rules: tuple[Rule, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()
    payment: Payment = field(default_factory=Payment)
    stop: Stop = field(default_factory=Stop)

    def as_content(self) -> dict[str, Any]:
        """The settings as they are stored in a protocol's content."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # lists, as they will be read again
        content["interface"] = {
            "name": content.pop("interface"),
            "version": content.pop("interface_version"),
            "options": dict(content.pop("options")),
        }
        return content


LISTS = ("lambdas_e4", "check_images", "example_images")
OF_V1 = "Response times were part of every answer."  # protocols of hilmix 0.1 did not say why


def settings_of(content: Mapping[str, Any]) -> Settings:
    """The settings that a stored protocol content holds."""
    interface, design = content["interface"], dict(content["design"])
    lists: dict[str, Any] = {name: tuple(design[name]) for name in LISTS if name in design}
    for name in ("class_pairs", "mixed_images"):
        lists[name] = tuple(map(tuple, design.get(name, ())))
    flow = dict(content.get("flow", {}))
    if "max_comprehension_rounds" in content:  # hilmix 0.1
        flow["max_comprehension_rounds"] = content["max_comprehension_rounds"]
        flow["break_every"] = 0
    return Settings(
        interface=interface["name"],
        interface_version=interface["version"],
        options=interface.get("options", {}),
        language=content.get("language", "en-gb"),
        perspective=content["perspective"],
        bonus=content.get("bonus", ""),
        timing_reason=content.get("timing_reason", OF_V1),
        display=Display(**content["display"]),
        flow=Flow(**flow),
        design=Design(**{**design, **lists}),
        factors=read_factors(content.get("factors", ())),
        rules=read_rules(content.get("rules", ())),
        hypotheses=read_hypotheses(content.get("hypotheses", ())),
        payment=Payment(**content.get("payment", {})),
        stop=Stop(**content.get("stop", {})),
    )


def content_sha256(content: Mapping[str, Any]) -> str:
    """The hash of a JSON content, independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def condition_content(settings: Settings, wording: Mapping[str, str]) -> dict[str, Any]:
    """What makes two answers comparable: everything about the way of asking that a participant can notice.

    `wording` is what each trial says, by name (texts.py). Design, consent and the rest of the texts are not part of it.
    """
    return {
        "interface": settings.interface,
        "interface_version": settings.interface_version,
        "options": dict(settings.options),
        "language": settings.language,
        "perspective": settings.perspective,
        "wording": dict(wording),
        "bonus": settings.bonus,
        "display": asdict(settings.display),
    }
