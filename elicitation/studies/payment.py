"""What people are paid, as the protocol promises it, and when a study has enough. Money is in hundredths."""

from __future__ import annotations

from dataclasses import dataclass

BONUSES = ("none", "flat", "agreement")
STOPS = ("answers", "interval")
SECOND_ORDER = "100 others"  # the perspective under which agreement may be rewarded
LEAST_COMPARED = 5  # answers below which nothing is said of a person's agreement with others

Problems = dict[str, list[str]]


@dataclass(frozen=True)
class Payment:
    """`reward_e2` for taking part, in hundredths of `currency` (ISO 4217), for an estimated number of `minutes`.

    The bonus goes to everybody who finishes (`flat`), or grows with the agreement with other people's answers
    (`agreement`); `bonus_e2` is its most. Its words are the protocol's `bonus`.
    """

    currency: str = "GBP"
    reward_e2: int = 0
    minutes: int = 0
    bonus: str = "none"
    bonus_e2: int = 0

    def problems(self, *, perspective: str, bonus_text: str, trials: int) -> Problems:
        """What is wrong, by field, given what is asked, what the rule says and how many trials a person has."""
        problems: Problems = {}
        if len(self.currency) != 3 or not self.currency.isascii() or not self.currency.isupper():
            problems["currency"] = ["Three capital letters, such as GBP or EUR."]
        for name in ("reward_e2", "bonus_e2"):
            if not 0 <= getattr(self, name) <= 100_000:
                problems[name] = ["Between 0 and 1,000.00."]
        if not 0 <= self.minutes <= 600:
            problems["minutes"] = ["Between 0 and 600."]
        if self.bonus not in BONUSES:
            problems["bonus_kind"] = [f"One of {', '.join(BONUSES)}."]
        elif self.bonus == "agreement" and perspective != SECOND_ORDER:
            problems["bonus_kind"] = [
                "Agreement with others is rewarded only where people are asked what 100 others would say."
            ]
        elif self.bonus == "agreement" and trials < LEAST_COMPARED:
            problems["bonus_kind"] = [
                f"Agreement is measured from {LEAST_COMPARED} answers on: with so few trials, nobody could earn it."
            ]
        elif self.bonus != "none" and not (self.bonus_e2 and bonus_text.strip()):
            problems["bonus_kind"] = ["A bonus has an amount, and its rule is told in words."]
        return problems


@dataclass(frozen=True)
class Stop:
    """When a study has enough: each unit has its `answers`, or the 95% intervals of its labels are on average at most
    `width` wide (0–1). Reaching it is shown; people decide."""

    rule: str = "answers"
    width: float = 0.3

    def problems(self) -> Problems:
        """What is wrong, by field."""
        problems: Problems = {}
        if self.rule not in STOPS:
            problems["stop"] = [f"One of {', '.join(STOPS)}."]
        if not 0.01 <= self.width <= 1:
            problems["stop_width"] = ["Between 0.01 and 1."]
        return problems
