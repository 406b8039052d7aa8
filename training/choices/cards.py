"""The model card of an arm: what it was trained on and how, what it reaches, what it is not for, and how it is loaded.

Made of what is stored: configuration, report, choice, files of runs. An arm is described, never a seed: the models of
its seeds are alike but for luck, and their weights are listed together.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from hilmix.core.licences import UNSTATED
from hilmix.core.markdown import plain
from hilmix.figures import show
from training.choices.predicting import net_of, shape_of
from training.choices.services import Opening
from training.engine.net_table import NET_TABLE
from training.evaluation.values import BY_KEY
from training.experiments.models import Arm
from training.reports.as_told import withdrawn_words
from training.reports.tables import ARROWS, share_words, within
from training.reports.words import about_arm, recipe_words
from training.runs import keeping
from training.runs.models import Run

FORMAT = "hilmix-model-card/1"
UNHASHED = "once they are downloaded"  # weights that an earlier hilmix wrote, and kept no hash of
# Of the figures on test images, what a card shows; the report has all.
_TOLD = (
    "accuracy", "balanced_accuracy", "log_loss", "brier", "ece_equal_width_15", "human_cross_entropy", "human_kl",
)  # fmt: skip


def card_of(arm: Arm, opening: Opening) -> dict[str, Any]:
    """The card of an arm as JSON. `opening` says whether figures of the test images stand in it."""
    experiment = arm.experiment
    release, image_set = experiment.release, experiment.image_set
    runs = [
        run
        for run in arm.runs.all()
        if run.is_done and not run.fold and not run.candidate and not run.excluded
    ]
    with_weights = [run for run in runs if (run.directory / keeping.WEIGHTS).is_file()]
    content = experiment.report.content if hasattr(experiment, "report") else {}
    told: dict[str, Any] = next((one for one in content.get("arms", []) if one["name"] == arm.name), {})
    return {
        "format": FORMAT,
        "name": f"{experiment.name}: {arm.name}",
        "watermark": release.study.watermark,
        "experiment": {
            "id": experiment.pk,
            "name": experiment.name,
            "configuration_sha256": experiment.config_sha256,
        },
        "arm": arm.name,
        "about": about_arm(arm),
        "choice": _choice(arm),
        "trained_on": _trained_on(arm),
        "input": _input(arm),
        "classes": list(image_set.classes),
        "recipe": recipe_words(experiment.config),
        "seeds": [run.seed for run in runs],
        "validation": _validation(content, arm.name),
        "test": _test(told) if opening.opened else [],
        "test_images": content.get("n_evaluation"),
        "test_note": "" if opening.opened else opening.sentence,
        "temperatures": _temperatures(content, arm.name) if opening.opened else [],
        "diagnosis": [
            f"{one['name']}: {one['remedy']}"
            for one in content.get("diagnosis", {}).get(arm.name, [])
            if one["state"] == "found" and opening.opened
        ],
        "limits": _limits(arm, content),
        "weights": [_weights(run) for run in with_weights],
        "load": lines_that_load(with_weights[0]) if with_weights else "",
        "licences": {
            "images": image_set.licence,
            "answers": release.opened.manifest.get("licences", {}).get("answers", ""),
        },
        "trained_with": _environment(runs),
    }


def lines_that_load(run: Run) -> str:
    """Five lines of Python that load the weights of a run and ask them about an image, where hilmix is installed."""
    net, shape = net_of(run), shape_of(run)
    n_classes = len(run.arm.experiment.image_set.classes)
    return "\n".join(
        (
            "from pathlib import Path",
            "from training.choices.asking import probabilities, read_images",
            "from training.engine.predict import load_model",
            f'model = load_model(Path("{weights_name(run)}"), net="{net}", image_shape={shape}, n_classes={n_classes})',
            f'print(probabilities(model, read_images(["image.png"], {shape})).round(3))',
        )
    )


def weights_name(run: Run) -> str:
    """What the file of a run's weights is called as a download."""
    return f"run-{run.pk}.safetensors"


def as_markdown(card: dict[str, Any]) -> str:
    """A card as Markdown, in the order in which it is read."""
    lines = [f"# {plain(card['name'])}", ""]
    if card["watermark"]:
        lines += [f"**{card['watermark']}.**", ""]
    for title, paragraphs, rows in parts_of(card):
        lines += [f"## {title}", "", *(text for one in paragraphs for text in (plain(one), ""))]
        lines += [f"- {plain(name)}: {plain(value)}" for name, value in rows]
        lines += [""] if rows else []
    if card["load"]:
        lines += [f"## {_('How to load it')}", "", "```python", card["load"], "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def parts_of(card: dict[str, Any]) -> list[tuple[str, list[str], list[tuple[str, str]]]]:
    """The parts of a card, each with its title, paragraphs, and named values: what page and Markdown show alike."""
    trained = card["trained_on"]
    found = [
        (_("What it is"), [card["about"] + "."], []),
        (_("Why this arm"), *_why(card)),
        (
            _("What it was trained on"),
            [_where_stated(card["licences"])],
            [
                (_("Release"), f"{trained['release']} ({trained['release_sha256'][:12]})"),
                (_("Image set"), f"{trained['image_set']} ({trained['image_set_sha256'][:12]})"),
                (_("Answers"), trained["answers"]),
                (_("Classes"), ", ".join(card["classes"])),
                (_("Recipe"), card["recipe"]),
                (_("Seeds"), ", ".join(map(str, card["seeds"]))),
                (_("Licences"), _licences(card["licences"])),
                *((name, value) for name, value in card["trained_with"].items()),
            ],
        ),
        (_("What it takes and gives"), [card["input"]["words"]], []),
        (_("On validation images"), *_told_validation(card["validation"])),
        (
            _("On test images"),
            [
                card["test_note"]
                or (_("Not assessed: there is no report yet.") if not card["test"] else "")
                or _("Mean over seeds with 95 %% intervals, %(n)s images.") % {"n": card["test_images"]}
            ],
            [
                *(
                    (one["name"] + ARROWS[one["higher_is_better"]], within(one["mean"], one["interval"]))
                    for one in card["test"]
                ),
                *((one["name"], f"T = {show(one['T'])}") for one in card["temperatures"]),
            ],
        ),
        (_("What to mind"), [*card["limits"], *card["diagnosis"]], []),
        (
            _("Weights"),
            [] if card["weights"] else [_("Its weights are not here.")],
            [
                (
                    one["file"],
                    f"seed {one['seed']}, {one['bytes']:,} bytes, sha256 {one['sha256'] or UNHASHED}",
                )
                for one in card["weights"]
            ],
        ),
    ]
    return [(title, [one for one in said if one], rows) for title, said, rows in found if said or rows]


def _choice(arm: Arm) -> dict[str, Any] | None:
    choice = getattr(arm.experiment, "choice", None)
    if choice is None:
        return None
    return {
        "arm": choice.arm.name,
        "is_this": choice.arm_id == arm.pk,
        "reason": choice.reason,
        "metric": choice.metric,
        "suggested": choice.suggested,
        "seen_test": choice.seen_test,
        "by": choice.chosen_by.username if choice.chosen_by else _("the command line"),
        "at": choice.created_at.isoformat(timespec="seconds"),
    }


def _why(card: dict[str, Any]) -> tuple[list[str], list[tuple[str, str]]]:
    choice = card["choice"]
    if choice is None:
        return [_("No arm of this experiment is chosen yet.")], []
    if not choice["is_this"]:
        return [_("It was not chosen: %(arm)s was.") % {"arm": choice["arm"]}], []
    rows = [(_("Reason"), choice["reason"]), (_("Chosen"), f"{choice['by']}, {choice['at'][:10]}")]
    if choice["suggested"]:
        rows.append((_("Validation figures speak for"), choice["suggested"]))
    seen = (
        _("figures of the test images had been seen before")
        if choice["seen_test"]
        else _("figures of the test images had not been opened before")
    )
    return [], [*rows, (_("Test images"), seen)]


def _trained_on(arm: Arm) -> dict[str, Any]:
    release, image_set = arm.experiment.release, arm.experiment.image_set
    counts = release.counts
    return {
        "release": release.name,
        "release_sha256": release.sha256,
        "image_set": image_set.name,
        "image_set_sha256": image_set.sha256,
        "answers": f"{counts['responses']} of {counts['participants']} participants on {counts['mixed_images']} mixed "
        f"images, source: {release.get_source_display()}",
    }


def _input(arm: Arm) -> dict[str, Any]:
    image_set = arm.experiment.image_set
    shape = [image_set.height, image_set.width, image_set.channels]
    kind = _("grey") if image_set.channels == 1 else _("RGB")
    words = _(
        "Takes %(kind)s images of %(width)d × %(height)d pixels, values from 0 to 1; normalisation is in the model. "
        "Other sizes are scaled and cropped to the middle. Gives one logit a class, of which a softmax makes "
        "probabilities."
    ) % {"kind": kind, "width": image_set.width, "height": image_set.height}
    net = str(arm.experiment.config["train"]["net"])
    known = NET_TABLE.get(net)
    return {
        "image_shape": shape,
        "net": net,
        "words": words + (f" {net}: {known.about} ({known.source})." if known else ""),
    }


def _validation(content: dict[str, Any], name: str) -> dict[str, Any] | None:
    choice = content.get("choice", {})
    if not choice.get("arm") or name not in choice["values"]:
        return None
    metric = BY_KEY[choice["metric"]]
    return {
        "metric": metric.key,
        "name": metric.name + ARROWS[metric.higher_is_better],
        "mean": choice["values"][name],
        "first_share": choice["first_share"][name],
        "n_seeds": choice["n_seeds"],
    }


def _told_validation(found: dict[str, Any] | None) -> tuple[list[str], list[tuple[str, str]]]:
    if found is None:
        return [_("Not assessed: no predictions of validation images.")], []
    first = share_words(found["first_share"])
    return [], [
        (
            found["name"],
            _("%(value)s, mean over %(n)d seeds") % {"value": show(found["mean"]), "n": found["n_seeds"]},
        ),
        (_("First among draws of images and seeds"), first),
    ]


def _test(told: dict[str, Any]) -> list[dict[str, Any]]:
    summary = told.get("summary", {})
    return [
        {
            "metric": key,
            "name": BY_KEY[key].name,
            "higher_is_better": BY_KEY[key].higher_is_better,
            "mean": one["mean"],
            "interval": one.get("interval"),
        }
        for key in _TOLD
        if (one := summary.get(key)) and one["mean"] is not None and key in BY_KEY
    ]


def _temperatures(content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = content.get("calibration", {}).get(name, [])
    return [
        {"name": one["temperature"], "T": one["T"]}
        for one in found
        if one["key"] != "none" and one.get("T") is not None
    ]


def _limits(arm: Arm, content: dict[str, Any]) -> list[str]:
    experiment = arm.experiment
    said = [
        _(
            "Known of it is only how it does on images of %(images)s, drawn as its test images were. For others it "
            "must be judged anew."
        )
        % {"images": experiment.image_set.name},
        _("Its probabilities are as trained, without a temperature."),
    ]
    if experiment.is_simulated:
        said.append(_("The answers were simulated, not given by people: this is no model to be used."))
    if withdrawn := withdrawn_words(experiment.release):
        said.append(withdrawn)
    choice = content.get("choice", {})
    if choice.get("unequal_budget"):
        said.append(_("The arms were not trained on as many steps or batches."))
    return said


def _where_stated(licences: dict[str, str]) -> str:
    """Where a licence that is lacking is stated; nothing where both are known."""
    said = []
    if not _known(licences["images"]):
        said.append(_("The licence of images is stated when they are imported (page Imports, or --licence)."))
    if not _known(licences["answers"]):
        said.append(
            _(
                "That of answers is chosen when a release is made (page “Freeze”, or freeze_release --licence)."
            )
            if said
            else _(
                "The licence of answers is chosen when a release is made (page “Freeze”, or freeze_release --licence)."
            )
        )
    if said:
        said.append(_("Until then nobody has given leave to use them."))
    return " ".join(said)


def _known(licence: str) -> bool:
    return licence not in ("", UNSTATED)


def _licences(licences: dict[str, str]) -> str:
    unknown = _("none stated")
    return _("images: %(images)s; answers: %(answers)s") % {
        name: value if _known(value) else unknown for name, value in licences.items()
    }


def _weights(run: Run) -> dict[str, Any]:
    path = run.directory / keeping.WEIGHTS
    return {
        "run": run.pk,
        "seed": run.seed,
        "file": weights_name(run),
        "bytes": path.stat().st_size,
        "sha256": keeping.weights_sha256(run),
    }


def _environment(runs: list[Run]) -> dict[str, str]:
    """Device, versions and code, where runs differ all of them."""
    labels = {"device": _("Device"), "torch": "torch", "code": _("Code")}
    return {
        label: ", ".join(sorted({str(run.environment[key]) for run in runs if run.environment.get(key)}))
        for key, label in labels.items()
        if any(run.environment.get(key) for run in runs)
    }
