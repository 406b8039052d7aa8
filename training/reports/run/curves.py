"""The learning curves of one run, as figures: while it trains and afterwards alike, from what its row holds.

Pure: epochs as they are stored in, figures out; nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hilmix.figures import Cell, Figure, Series, Table, needs_log, show

Epochs = Sequence[Mapping[str, Any]]
OWN, OTHER = 0, 5  # groups, that is colours: the run's own, and a grey one for what stands behind it


@dataclass(frozen=True)
class Line:
    """One line of a figure: the key of an epoch, what it is called, and how it is drawn."""

    key: str
    name: str
    group: int
    is_dashed: bool = False


def figures_of(epochs: Epochs, baseline: Epochs, *, behind: str, watched: str, source: str) -> list[Figure]:
    """Loss, accuracy and learning rate after each epoch.

    `baseline` are the epochs of the run that stands `behind` it, none where it is that one itself; `watched` names the
    images that are looked at after each epoch.
    """
    if not epochs:
        return []
    looked = f"{watched[0].upper()}{watched[1:]}"
    loss = (
        Line("train_loss", "training", OWN),
        Line("train_floor", "floor of the training targets", OWN, is_dashed=True),
        Line("validation_loss", watched, 1),
    )
    accuracy = (Line("train_accuracy", "training", OWN), Line("validation_accuracy", watched, 1))
    figures = [
        _figure(
            "loss", "Loss", loss, "validation_loss", epochs, baseline, behind, source,
            "cross-entropy, nats", _reading_loss(epochs, watched),
            "Training: soft cross-entropy of each epoch's batches, above the entropy of their targets (floor). "
            f"{looked}: against the hard labels; where it turns and rises, the model over-fits.",
        ),
        _figure(
            "accuracy", "Accuracy", accuracy, "validation_accuracy", epochs, baseline, behind, source,
            "share correct", _reading_accuracy(epochs, watched),
            "Training: share of each epoch's batches, mixed and augmented, whose top class is that of their target. "
            f"{looked}: share whose top class is the label.",
        ),
        _figure(
            "rate", "Learning rate", (Line("lr", "learning rate", OWN),), "", epochs, (), "", source,
            "learning rate", f"After epoch {epochs[-1]['epoch']} the rate is {show(epochs[-1]['lr'])}."
            if "lr" in epochs[-1] and "epoch" in epochs[-1] else "",
            "The rate of the last step of each epoch.",
        ),
    ]  # fmt: skip
    return [figure for figure in figures if figure.series]


def _figure(
    key: str,
    title: str,
    lines: Sequence[Line],
    compared: str,
    epochs: Epochs,
    baseline: Epochs,
    behind: str,
    source: str,
    unit: str,
    reading: str,
    definition: str,
) -> Figure:
    """One figure; behind it, in grey, what the baseline has under `compared`."""
    known = [line for line in lines if any(one.get(line.key) is not None for one in epochs)]
    # The floor of hard labels is 0: no line on a logarithmic scale.
    known = [line for line in known if not (line.is_dashed and not any(one.get(line.key) for one in epochs))]
    series = [
        Series(line.name, _points(epochs, line.key), line.group, "dashed" if line.is_dashed else "line")
        for line in known
    ]
    columns = [(line.name, _by_epoch(epochs, line.key)) for line in known]
    if behind and series and any(one.get(compared) is not None for one in baseline):
        name = f"{behind}: {lines[-1].name}"
        series.append(Series(name, _points(baseline, compared), OTHER, "behind"))
        columns.append((name, _by_epoch(baseline, compared)))
        definition += f" Grey: {behind}."
    rows: list[tuple[Cell, ...]] = [
        (epoch, *(values.get(epoch) for _, values in columns))
        for epoch in sorted({epoch for _, values in columns for epoch in values})
    ]
    table = Table(f"{title} after each epoch", ("Epoch", *(name for name, _ in columns)), tuple(rows))
    return Figure(
        key,
        "curve",
        title,
        definition,
        "epoch",
        unit,
        tuple(series),
        table,
        source,
        log_y=key == "loss"
        and needs_log(point[1] for one in series if one.style != "dashed" for point in one.points),
        reading=reading,
    )


def _by_epoch(epochs: Epochs, key: str) -> dict[int, float]:
    """Values by epoch, from 1; the oldest reports number none."""
    return {
        int(one.get("epoch", number)): float(one[key])
        for number, one in enumerate(epochs, 1)
        if one.get(key) is not None
    }


def _points(epochs: Epochs, key: str) -> tuple[tuple[float, float], ...]:
    return tuple(_by_epoch(epochs, key).items())


def _reading_loss(epochs: Epochs, watched: str) -> str:
    last = epochs[-1]
    said = []
    if last.get("train_loss") is not None and last.get("train_floor") is not None:
        above = last["train_loss"] - last["train_floor"]
        said.append(f"the training loss is {show(above)} above the floor of its targets")
    losses = _by_epoch(epochs, "validation_loss")
    if losses:
        least = min(losses, key=lambda epoch: (losses[epoch], epoch))
        now = f"the {watched} loss is {show(list(losses.values())[-1])}"
        said.append(
            now if least == max(losses) else f"{now}, least after epoch {least} ({show(losses[least])})"
        )
    return f"After epoch {max(losses or [len(epochs)])} {' and '.join(said)}." if said else ""


def _reading_accuracy(epochs: Epochs, watched: str) -> str:
    shares = _by_epoch(epochs, "validation_accuracy")
    if not shares:
        return ""
    best = max(shares, key=lambda epoch: (shares[epoch], -epoch))
    now = f"After epoch {max(shares)}, {list(shares.values())[-1]:.1%} of the {watched} images are right"
    return f"{now}." if best == max(shares) else f"{now}, most after epoch {best} ({shares[best]:.1%})."
