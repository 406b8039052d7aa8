"""Licences by name: what each lets others do, and which of them a release may carry together.

A name is an SPDX identifier, so that other tools know it. Nobody's rights are guessed: where none was stated, the
licence is `unstated`, and whoever reads the release is told so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hilmix.core.errors import DataError


@dataclass(frozen=True)
class Licence:
    """One licence: its SPDX name, title, address (empty where it has none) and name on the Hugging Face Hub.

    `adapted` whether a changed copy, such as a mixed image, may be passed on · `attribution`, `non_commercial` and
    `share_alike` what it asks of whoever passes one on.
    """

    name: str
    title: str
    url: str
    hub: str
    adapted: bool = True
    attribution: bool = True
    non_commercial: bool = False
    share_alike: bool = False


UNSTATED = "unstated"
DEFAULT = "CC-BY-4.0"  # for answers that people gave to a study of ours
_CC = "https://creativecommons.org/licenses"
_SPDX = "https://spdx.org/licenses"

LICENCES: dict[str, Licence] = {
    licence.name: licence
    for licence in (
        Licence("CC0-1.0", "Creative Commons Zero 1.0", "https://creativecommons.org/publicdomain/zero/1.0/",
                "cc0-1.0", attribution=False),
        Licence("CC-BY-4.0", "Creative Commons Attribution 4.0", f"{_CC}/by/4.0/", "cc-by-4.0"),
        Licence("CC-BY-SA-4.0", "Creative Commons Attribution-ShareAlike 4.0", f"{_CC}/by-sa/4.0/", "cc-by-sa-4.0",
                share_alike=True),
        Licence("CC-BY-NC-4.0", "Creative Commons Attribution-NonCommercial 4.0", f"{_CC}/by-nc/4.0/", "cc-by-nc-4.0",
                non_commercial=True),
        Licence("CC-BY-NC-SA-4.0", "Creative Commons Attribution-NonCommercial-ShareAlike 4.0",
                f"{_CC}/by-nc-sa/4.0/", "cc-by-nc-sa-4.0", non_commercial=True, share_alike=True),
        Licence("CC-BY-ND-4.0", "Creative Commons Attribution-NoDerivatives 4.0", f"{_CC}/by-nd/4.0/", "cc-by-nd-4.0",
                adapted=False),
        Licence("CC-BY-NC-ND-4.0", "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0",
                f"{_CC}/by-nc-nd/4.0/", "cc-by-nc-nd-4.0", adapted=False, non_commercial=True),
        Licence("ODC-By-1.0", "Open Data Commons Attribution 1.0", "https://opendatacommons.org/licenses/by/1-0/",
                "odc-by"),
        Licence("ODbL-1.0", "Open Data Commons Open Database Licence 1.0",
                "https://opendatacommons.org/licenses/odbl/1-0/", "odbl", share_alike=True),
        Licence("PDDL-1.0", "Open Data Commons Public Domain Dedication 1.0",
                "https://opendatacommons.org/licenses/pddl/1-0/", "pddl", attribution=False),
        Licence("MIT", "MIT Licence", f"{_SPDX}/MIT.html", "mit"),
        Licence("BSD-3-Clause", "BSD 3-Clause Licence", f"{_SPDX}/BSD-3-Clause.html", "bsd-3-clause"),
        Licence("Apache-2.0", "Apache Licence 2.0", "https://www.apache.org/licenses/LICENSE-2.0", "apache-2.0"),
        Licence("LicenseRef-no-redistribution", "Not to be passed on", "", "other", adapted=False),
        Licence(UNSTATED, "No licence was stated", "", "unknown", attribution=False),
    )
}  # fmt: skip


def licence_named(name: str) -> Licence:
    """The licence called `name`, `unstated` for an empty one. Raises DataError listing those there are."""
    if (name or UNSTATED) not in LICENCES:
        raise DataError(f"There is no licence {name!r} here. Choose one of: {', '.join(LICENCES)}.")
    return LICENCES[name or UNSTATED]


def conflicts(
    release: str,
    *,
    image_set: str,
    imported: str | None = None,
    images_included: bool,
) -> list[str]:
    """Why a release may not be given on under a licence; empty where it may.

    Args:
        release: name of the licence of the release: of its answers, its labels, and its mixed images if it has them.
        image_set: of the images that were mixed; they matter where the release includes the mixed images, which are
            changed copies of them, and not where it holds recipes only.
        imported: of answers that were published before, for an imported study.

    A name may be empty: the licence is unstated. Nobody can give a licence to answers of others that have none; images
    without one stand in nobody's way, since pictures keep the licence of the image set. Raises DataError for an unknown
    name.
    """
    parts = {
        "the imported answers": imported,
        "the images": image_set if images_included else None,
    }
    given = {what: licence_named(name) for what, name in parts.items() if name is not None}
    return _conflicts(licence_named(release), given)


def _conflicts(release: Licence, parts: Mapping[str, Licence]) -> list[str]:
    found = []
    unstated = release.name == UNSTATED
    for what, licence in parts.items():
        under = f"The licence of {what}, {licence.name},"
        if not licence.adapted:
            instead = " Freeze the recipes only." if what == "the images" else ""
            found.append(f"{under} does not let changed copies be passed on.{instead}")
            continue
        if licence.name == UNSTATED and what == "the imported answers" and not unstated:
            found.append(
                f"No licence of {what} was stated, so {release.name} is not yours to give: choose {UNSTATED}."
            )
        elif licence.share_alike and release.name != licence.name:
            found.append(f"{under} asks that what is made of them has the same licence, not {release.name}.")
        elif licence.non_commercial and not release.non_commercial:
            would = (
                "a release without a licence would not forbid" if unstated else f"{release.name} would allow"
            )
            found.append(f"{under} forbids commercial use, which {would}.")
        elif licence.attribution and not release.attribution and not unstated:
            found.append(f"{under} asks that their makers are named, which {release.name} would not.")
    return found
