"""What is chosen for a release: with pictures or recipes only, its licence, who made it, what it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from django.db.models import QuerySet

from elicitation.studies.models import Source, Study
from hilmix.accounts.models import Membership
from hilmix.core.licences import DEFAULT, LICENCES, UNSTATED, conflicts
from hilmix.errors import Conflict, Invalid
from hilmix.hub.models import Import, Release

LONGEST_NAME, LONGEST_DESCRIPTION, MOST_CREATORS = 200, 5000, 100


@dataclass(frozen=True)
class FreezeOptions:
    """`images` included or recipe-only · `licence` a name of `core.licences` · `creators` names of whom to cite, at
    least one · `description` a paragraph for whoever finds the release."""

    images: str = Release.Images.INCLUDED.value
    licence: str = DEFAULT
    creators: list[str] = field(default_factory=list)
    description: str = ""

    def as_json(self) -> dict[str, Any]:
        """As `Freeze.options` holds it."""
        return asdict(self)

    def check(self) -> None:
        """Raise Invalid naming what cannot be so."""
        wrong: dict[str, list[str]] = {}
        if self.images not in Release.Images.values:
            wrong["images"] = [f"Images are {' or '.join(Release.Images.values)}, not {self.images!r}."]
        if self.licence not in LICENCES:
            known = ", ".join(LICENCES)
            wrong["licence"] = [f"There is no licence {self.licence!r} here. Choose one of: {known}."]
        names = [name.strip() for name in self.creators]
        if not names or not all(names) or len(names) > MOST_CREATORS:
            wrong["creators"] = [
                f"Name who made the release: 1 to {MOST_CREATORS} names, none of them empty."
            ]
        elif any(len(name) > LONGEST_NAME or "\n" in name for name in names):
            wrong["creators"] = [f"A name is one line of at most {LONGEST_NAME} characters."]
        if not 0 < len(self.description.strip()) <= LONGEST_DESCRIPTION:
            wrong["description"] = [f"Describe the release in 1 to {LONGEST_DESCRIPTION} characters."]
        if wrong:
            raise Invalid(" ".join(text for texts in wrong.values() for text in texts), fields=wrong)


def proposed_options(study: Study) -> FreezeOptions:
    """What the release before was made with; for the first one, what a study of this kind is commonly given."""
    newest = study.releases.order_by("-number").first()
    if newest is not None and newest.opened.format > 3:  # earlier ones said none of it
        manifest = newest.opened.manifest
        return FreezeOptions(
            images=manifest["images"],
            licence=manifest["licences"]["answers"] or UNSTATED,
            creators=list(manifest["creators"]),
            description=manifest["description"],
        )
    imported = import_of(study)
    return FreezeOptions(
        licence=DEFAULT if imported is None else imported.licence or UNSTATED,
        creators=_makers_of(study, imported),
        description=_description_of(study),
    )


def licences_of(study: Study, options: FreezeOptions) -> dict[str, Any]:
    """The manifest's `licences`: of the release's answers and labels, of the image set, of the answers as they were
    imported if they were, and whom to credit for each.

    Raises:
        Conflict: they may not be given on together; says why, and what would help.
    """
    imported, image_set = import_of(study), study.image_set
    reasons = conflicts(
        options.licence,
        image_set=image_set.licence,
        imported=None if imported is None else imported.licence,
        images_included=options.images == Release.Images.INCLUDED,
    )
    if reasons:
        raise Conflict(" ".join(reasons))
    origin = {"answers": imported.origin if imported else "", "image_set": image_set.origin}
    return {
        "answers": options.licence,
        "image_set": image_set.licence or UNSTATED,
        **({} if imported is None else {"imported": imported.licence or UNSTATED}),
        "origin": {what: text for what, text in origin.items() if text},
    }


def import_of(study: Study) -> Import | None:
    """How the study's answers came from elsewhere, if they did; simulated ones may, too."""
    return Import.objects.filter(study=study).first()


def _makers_of(study: Study, imported: Import | None) -> list[str]:
    if imported is not None and imported.origin:
        return [imported.origin]
    owners: QuerySet[Membership] = study.memberships.filter(part=Membership.Part.OWNER).select_related("user")
    names = [one.user.get_full_name() or one.user.username for one in owners.order_by("pk")]
    return names or [f"The makers of “{study.title}”"]


def _description_of(study: Study) -> str:
    who = {
        Source.PERSON: "What people said",
        Source.SIMULATED: "What simulated participants (nobody was asked) said",
        Source.IMPORTED: "What people said, as it was published before,",
    }[Source(study.source)]
    return (
        f"{who} about mixed images of {study.image_set.name} in the study “{study.title}”, and the soft labels that "
        "are made of their answers."
    )
