"""Releases: frozen, hashed directories of answers, labels and mixed images, opened without a database.

`write_release` makes one completely or not at all; `open_release` refuses anything that changed since, and opens
releases of every format so far. Gathering a study's rows is the hub's work. Columns are in `release_tables`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hilmix.core import mixing
from hilmix.core.errors import DataError
from hilmix.core.files import MANIFEST, check_files, read_manifest, sha256_json
from hilmix.core.imageset import ImageSet
from hilmix.core.release_answers import canonical_name, derived_individual_labels, derived_labels, is_policy
from hilmix.core.release_manifest import FORMATS, INCLUDED, content_sha256
from hilmix.core.release_tables import pair_key, read_table, tables_of
from hilmix.core.release_writing import write_release
from hilmix.core.softlabels import IndividualLabel

__all__ = ["FORMATS", "Release", "open_release", "pair_key", "write_release"]


@dataclass(frozen=True)
class Release:
    """An open, verified release. Arrays are in the order of the table `mixed_images`."""

    directory: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The study's short name, as in its link."""
        return str(self.manifest["name"])

    @property
    def version(self) -> str:
        """Three numbers, such as 1.0.0."""
        return str(self.manifest["version"])

    @property
    def source(self) -> str:
        """person, simulated or imported."""
        return str(self.manifest["source"])

    @property
    def sha256(self) -> str:
        """Names the content: equal for two releases that differ in name, version and date of making alone, if the same
        versions of libraries wrote their files (`writers` in the manifest)."""
        return str(self.manifest["sha256"])

    @property
    def image_set_sha256(self) -> str:
        """Content hash of the image set that the parents are positions in."""
        return str(self.manifest["image_set"]["sha256"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the soft labels' columns."""
        return tuple(self.manifest["image_set"]["classes"])

    @property
    def format(self) -> int:
        """Version of the release's format: 1 for releases of hilmix 0.1."""
        return FORMATS.index(self.manifest["format"]) + 1

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the ways in which was asked; none in format 1."""
        return tuple(self.table("conditions")["condition"].to_pylist()) if self.format > 1 else ()

    @property
    def label_sets(self) -> list[dict[str, Any]]:
        """What labels it holds: `policy`, its `version` and `meaning`, the parameters `chosen` and the `params` it
        estimated, its `name` (policy and what was chosen), and the `condition` whose answers it used (None: no answer
        was used, or format 1)."""
        if self.format > 3:
            return list(self.manifest["label_sets"])
        if self.format > 1:
            return [{"name": entry["policy"], "chosen": {}, **entry} for entry in self.manifest["label_sets"]]
        policies = sorted(self.manifest["label_policies"].items())
        return [
            {"policy": name, "name": name, "chosen": {}, "condition": None, **entry}
            for name, entry in policies
        ]

    @property
    def rules(self) -> list[dict[str, Any]]:
        """The rules of quality that were applied when the labels were made: `flag`, `params`, `excludes` and
        `reason`; none before format 3."""
        return list(self.manifest["rules"]["rules"]) if self.format > 2 else []

    @property
    def factors(self) -> list[dict[str, Any]]:
        """What the study varied to compare ways of asking: `name`, `varies` (between or within people) and `levels`;
        the column `level_NAME` of a table says which. None before format 3."""
        return list(self.manifest["factors"]) if self.format > 2 else []

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the label policies, with the parameters chosen for them, sorted."""
        return tuple(sorted({entry["name"] for entry in self.label_sets}))

    @property
    def has_images(self) -> bool:
        """Whether it holds the pixels of its mixed images, not only their recipes."""
        return self.format < 4 or self.manifest["images"] == INCLUDED

    @property
    def n(self) -> int:
        """Number of mixed images."""
        return int(self.manifest["counts"]["mixed_images"])

    def table(self, name: str) -> pa.Table:
        """Return a table of `COLUMNS`, as it is in the release's format."""
        if name not in (known := tables_of(self.format, pictures=self.has_images)):
            raise DataError(f"The release {self.name} has no table {name!r}, only {', '.join(known)}.")
        path = self.directory / "data" / f"{name}.parquet"
        return read_table(path, name, len(self.classes), self.factors, self.format)

    def _column(self, name: str) -> list[Any]:
        return list(self.table("mixed_images").column(name).to_pylist())

    def images(self, image_set: ImageSet | None = None) -> npt.NDArray[np.uint8]:
        """Return the mixed images, uint8 [n, H, W, C].

        A release that holds recipes only is given the `image_set` that they mix. Raises DataError if a picture is not
        the one it is named by, or if the image set is missing or another one.
        """
        hashes = self._column("sha256")
        pictures = self._pictures(hashes) if self.has_images else self._mixed(hashes, image_set)
        if len({picture.shape for picture in pictures.values()}) > 1:
            raise DataError(f"{self.directory}: the mixed images differ in size, so they make no array.")
        return np.stack([pictures[sha256] for sha256 in hashes])

    def _pictures(self, hashes: list[str]) -> dict[str, mixing.Pixels]:
        """The pictures in the release, by the hash of their pixels."""
        folder = self.directory / "images"
        return {
            sha256: _checked(mixing.from_png((folder / f"{sha256}.png").read_bytes()), sha256)
            for sha256 in set(hashes)
        }

    def _mixed(self, hashes: list[str], image_set: ImageSet | None) -> dict[str, mixing.Pixels]:
        """The pictures mixed again from their recipes."""
        stated = self.manifest["image_set"]
        if image_set is None or image_set.sha256 != stated["sha256"]:
            given = "" if image_set is None else f" The one given has {image_set.sha256}."
            raise DataError(
                f"The release {self.name} holds recipes only. Bring the image set {stated['name']!r} with the sha256 "
                f"{stated['sha256']}: release.images(open_image_set(FOLDER)).{given}"
            )
        images = image_set.images
        recipes = zip(
            hashes, self.parents().tolist(), self._column("lambda_e4"), self._column("method"), strict=True
        )
        return {
            sha256: _checked(mixing.mix(images[first], images[second], lambda_e4, method), sha256)
            for sha256, (first, second), lambda_e4, method in recipes
        }

    def label_set(self, policy: str, condition: str | None = None) -> dict[str, Any]:
        """Return the one entry of `label_sets` for a policy, and for the answers of one condition.

        `policy` may say parameters, as in `human_lambda(statistic=median)`. The condition may be left out where there
        is only one. Raises DataError naming those there are.
        """
        self._check_condition(condition)
        name = canonical_name(policy)
        found = [entry for entry in self.label_sets if entry["name"] == name]
        if not found:
            raise DataError(
                f"The release {self.name} has no labels {policy!r}, only {', '.join(self.policies)}."
            )
        fitting = [entry for entry in found if condition in (None, entry["condition"])] or [
            entry for entry in found if entry["condition"] is None
        ]
        conditions = ", ".join(entry["condition"] for entry in found if entry["condition"])
        if not fitting:
            raise DataError(
                f"The release {self.name} has no labels {policy!r} under the condition {condition!r}, only under "
                f"{conditions}."
            )
        if len(fitting) > 1:
            raise DataError(
                f"The release {self.name} has labels {policy!r} under {len(fitting)} conditions, {conditions}: people "
                "were not all asked in the same way (table `conditions`). Name one."
            )
        return fitting[0]

    def _check_condition(self, condition: str | None) -> None:
        if condition is not None and condition not in self.conditions:
            known = ", ".join(self.conditions) or "none"
            raise DataError(
                f"The release {self.name} has no condition {condition!r}; its conditions: {known}."
            )

    def labels(self, policy: str, condition: str | None = None) -> npt.NDArray[np.float64]:
        """Return the soft labels of one policy, float64 [n, K], rows summing to 1.

        They are made of the answers that are `counted` in the table `responses`; whom a rule or a researcher left out
        is in that table and in no label (`hmix_weighted` takes the repeats of who counts as well). Labels that the
        release does not hold, such as `random(seed=3)`, are made of these answers now.

        `condition` is needed where a study asked in several ways. Raises DataError as `label_set`.
        """
        if (name := canonical_name(policy)) not in self.policies and is_policy(name):
            self._check_condition(condition)
            return derived_labels(self, name, condition).probabilities
        entry = self.label_set(policy, condition)
        table = self.table("labels")
        wanted = pc.equal(table["policy"], name)
        if entry["condition"] is not None:
            wanted = pc.and_(wanted, pc.equal(table["condition"], entry["condition"]))
        rows = table.filter(wanted)
        order = pc.index_in(self.table("mixed_images")["key"], rows["key"].combine_chunks())
        values = rows["soft_label"].combine_chunks().flatten().to_numpy().reshape(-1, len(self.classes))
        return np.ascontiguousarray(values[order.to_numpy()])

    def individual_labels(self, policy: str, condition: str | None = None) -> list[IndividualLabel]:
        """Return what every single answer of people who count makes by itself, repeats included and marked.

        `condition` is needed where a study asked in several ways. Raises DataError where it is missing, and for a
        policy that has no label of one answer.
        """
        self._check_condition(condition)
        return derived_individual_labels(self, policy, condition)

    def lambdas(self) -> npt.NDArray[np.float64]:
        """Return λ, the share of the first image, float64 [n], 0–1."""
        return np.array(self._column("lambda_e4"), dtype=np.float64) / mixing.UNIT_E4

    def parents(self) -> npt.NDArray[np.int64]:
        """Return the positions of first and second parent in the image set, int64 [n, 2]."""
        columns = [self._column("first_index"), self._column("second_index")]
        return np.array(columns, dtype=np.int64).T


def _checked(pixels: mixing.Pixels, sha256: str) -> mixing.Pixels:
    if mixing.pixel_sha256(pixels) != sha256:
        raise DataError(f"images/{sha256}.png does not show the pixels that its name says.")
    return pixels


def open_release(directory: Path | str) -> Release:
    """Open a release after checking its manifest and the sha256 of every file.

    Raises DataError naming the file that was changed, is missing or does not belong there.
    """
    directory = Path(directory)
    manifest = read_manifest(directory, FORMATS, "a release")
    stated = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    if manifest.get("manifest_sha256") != sha256_json(stated):
        raise DataError(
            f"{directory}: the file {MANIFEST} was changed after it was written. Restore the original."
        )
    check_files(directory, manifest["files"])
    if manifest["sha256"] != content_sha256(stated, manifest["files"]):
        raise DataError(f"{directory}: the file {MANIFEST} names another content than its files have.")
    return Release(directory, manifest)
