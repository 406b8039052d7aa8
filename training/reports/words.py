"""What an arm is, and what a forecast says, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hilmix.figures import number


class Described(Protocol):
    """An arm as it is stored, or as a report is made of it."""

    @property
    def policy(self) -> str: ...
    @property
    def params(self) -> dict[str, Any]: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def is_external(self) -> bool: ...


def about_arm(arm: Described) -> str:
    """What is otherwise in this arm than in others."""
    if arm.is_external:
        return "predictions of a model trained elsewhere"
    own = arm.settings
    said = []
    if arm.policy:
        version = f"@{arm.params['version']}" if "version" in arm.params else ""
        said.append(f"{arm.policy}{version}: {str(arm.params.get('meaning', '')).rstrip('.')}".rstrip(": "))
    else:
        said.append("no mixed images of the release; base images fill their places")
    if own.get("condition"):
        said.append(f"asked under {own['condition']}")
    if own.get("answers_per_image"):
        said.append(f"{own['answers_per_image']} answers an image")
    if own.get("people"):
        said.append(f"answers of {own['people']} people")
    if own.get("mixed_share"):
        said.append(f"share of mixed images {own['mixed_share']:g}")
    if own.get("base_labels", "hard") == "human":
        said.append("base images with human labels")
    if fly := own.get("on_the_fly"):
        said.append("mixes made while training: " + _listed(fly))
    if own.get("augment"):
        said.append("augmentation: " + _listed(own["augment"]))
    if own.get("start_from") is not None:
        said.append(f"starts from the weights of {own['start_from']}")
    if own.get("tuned"):
        said.append("chosen on validation images: " + _listed(own["tuned"]))
    return "; ".join(said)


def forecast_words(forecast: Mapping[str, Any]) -> str:
    """What all runs will take, as it was measured on a few steps; empty where nothing was."""
    if "seconds" not in forecast:
        return ""
    said = f"about {_time(forecast['seconds'])} of training"
    if "seconds_judging" in forecast:  # older forecasts are without it
        said += f" and {_time(forecast['seconds_judging'])} of judging"
    said += f" for {forecast.get('n_runs', 'all')} runs"
    if "memory" in forecast:
        said += f", {forecast['memory'] / 1e9:.1f} GB of memory"
    if "disk" in forecast:
        said += f", {forecast['disk'] / 1e9:.2f} GB of disk"
    return said


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def configuration_words(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The keys of a configuration as it is written, each with its value: all but names, seeds, splits and arms, which
    stand by themselves, and what was left at none."""
    said = []
    for key, value in config.items():
        if key in ("name", "release", "image_set", "seeds", "train_on", "evaluate_on", "arms"):
            continue
        if key == "contrasts":
            said += [(key, _contrast(one)) for one in value]
        elif key == "train":
            said += [(name, _plain(one)) for name, one in value.items()]
        elif value not in ([], {}, 0, False, None):
            said.append((key, _plain(value)))
    return said


TRAINED = {
    "net": "net",
    "epochs": "epochs",
    "batch_size": "images in a batch",
    "lr": "learning rate",
    "momentum": "momentum",
    "weight_decay": "weight decay",
    "schedule": "how the rate falls",
    "milestones": "steps down after",
    "factor": "factor of each step down",
    "warmup_epochs": "epochs of warm-up",
    "ema": "moving average of weights, decay a step",
    "clip_norm": "largest norm of a gradient",
    "mixed_share": "share of mixed images in a batch",
    "precision": "precision",
    "threads": "processor threads",
    "deterministic": "deterministic",
    "augment": "augmentation",
    "on_the_fly": "mixes made while training",
    "crop": "random crop, pixels",
    "flip": "mirrored at random",
    "rotation": "turned, degrees either way",
    "blur": "blur, pixels",
    "noise": "noise, 1 is white",
    "brightness": "brightness, times 1 ±",
    "contrast": "contrast, times 1 ±",
}


def trained_words(train: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How one run is trained, in the words of the form: all but what is not used. A key that has no words here stands
    as it is written."""
    said = []
    for key, value in train.items():
        if key in ("milestones", "factor") and train.get("schedule") != "steps":
            continue
        if isinstance(value, Mapping):
            used = {name: one for name, one in value.items() if one not in (0, None, "", [], {})}
            value = "; ".join(
                f"{_trained(name)} {_yes_or(one)}".removesuffix(" yes") for name, one in used.items()
            )
            value = value or "none"
        if value not in ([], {}, "", None):
            said.append((_trained(key), _yes_or(value)))
    return said


def _trained(key: str) -> str:
    return TRAINED.get(key, key.replace("_", " "))


def _yes_or(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else _plain(value)


def recipe_words(config: Mapping[str, Any]) -> str:
    """How all arms are trained, but for what they say themselves: the settings of `train`, as they are written."""
    return "; ".join(
        f"{name} ({_listed(one)})" if isinstance(one, Mapping) else f"{name} {_plain(one)}"
        for name, one in (config.get("train") or {}).items()
        if one not in ([], {}, None)
    )


def _contrast(one: Mapping[str, Any]) -> str:
    about = f" ({one['about']})" if one.get("about") else ""
    return f"{one['arm']} − {one['against']}{about}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_plain(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return number(value, 12) if isinstance(value, float) else str(value)


def _listed(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in sorted(table.items()))
