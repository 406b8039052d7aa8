"""Words that several parts of a report share: names of attacks, figures and classes, and with which seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ATTACKS = {"fgsm": "FGSM", "pgd": "PGD", "square": "Square"}
# What stands beside the ECE at each temperature: what it is fitted for, and what else it changes.
COOLED = {
    "rms_equal_width_15": "RMS ↓",
    "log_loss": "Log loss ↓",
    "human_cross_entropy": "CE, human labels ↓",
    "human_ece": "Human-ECE ↓",
}


def by_seed(said: Iterable[tuple[int, str]], seeds: Sequence[int]) -> list[str]:
    """What was found with each seed, each text once; with which seeds, where not all `seeds` say it."""
    found: dict[str, list[int]] = {}
    for seed, text in said:
        which = found.setdefault(text, [])
        if seed not in which:
            which.append(seed)
    return [
        text if set(which) == set(seeds) else f"{named_seeds(which)}: {text}" for text, which in found.items()
    ]


def named_seeds(seeds: Sequence[int]) -> str:
    """ "seed 0", "seeds 0, 2"."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def class_name(number: int, classes: Sequence[str]) -> str:
    """The name of a class, or its number without one."""
    return classes[number] if number < len(classes) else str(number)


def share_of_255(epsilon: float | None) -> str:
    """The bound of an attack as it is written: "4/255"."""
    return "4/255" if epsilon is None else f"{epsilon * 255:.3g}/255"
