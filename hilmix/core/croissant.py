"""A release in Croissant 1.1 with RAI 1.0 and PROV: JSON-LD by which libraries and search engines read it.

Made of the manifest and of the one list of columns. What the text asks and `mlcroissant` does not check is checked in
`release_check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hilmix.core.release_card import (
    answers_a_unit,
    limitations,
    names_of_people,
    protocol_in_words,
    who_is_left_out,
)
from hilmix.core.release_columns import PICTURES, Column, Row, columns_of
from hilmix.core.release_papers import (
    day_of,
    keywords,
    licence_of,
    parts_of,
    pictures_have,
    tables_in,
    title_of,
)

CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
CLASSES = "classes"  # the record set that names the classes

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{
        term: f"cr:{term}"
        for term in (
            "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject",
            "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
            "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate",
            "separator", "source", "subField", "transform",
        )
    },
}  # fmt: skip

_DATA_TYPES = {
    "text": "sc:Text",
    "json": "sc:Text",
    "integer": "sc:Integer",
    "class": "sc:Integer",
    "number": "cr:Float64",
    "boolean": "sc:Boolean",
    "probabilities": "cr:Float64",
    "picture": "sc:ImageObject",
}
_ENCODINGS = {"parquet": "application/x-parquet", "csv": "text/csv"}


def croissant(manifest: Mapping[str, Any], conditions: Sequence[Row]) -> dict[str, Any]:
    """Return the JSON-LD of a release whose manifest lists its files."""
    licence = licence_of(manifest)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": f"{manifest['name']}-{manifest['version']}",
        "alternateName": title_of(manifest),
        "description": manifest["description"],
        "url": f"urn:sha256:{manifest['sha256']}",
        "identifier": f"sha256:{manifest['sha256']}",
        "license": licence.url or licence.title,
        "conditionsOfAccess": pictures_have(manifest),
        "creator": [{"@type": _kind_of_maker(manifest), "name": creator} for creator in manifest["creators"]],
        "datePublished": day_of(manifest),
        "version": manifest["version"],
        "keywords": keywords(manifest),
        "isLiveDataset": False,
        "citeAs": cite_as(manifest),
        **_responsible(manifest, conditions),
        **_provenance(manifest),
        "distribution": list(_distribution(manifest)),
        "recordSet": [_classes(manifest["image_set"]["classes"]), *_record_sets(manifest)],
    }


def _kind_of_maker(manifest: Mapping[str, Any]) -> str:
    """Croissant knows people and organizations; whom imported answers are credited to is seldom one person."""
    imported = manifest["source"] == "imported" or "imported" in manifest["licences"]
    return "sc:Organization" if imported else "sc:Person"


def cite_as(manifest: Mapping[str, Any]) -> str:
    """How to cite it, in BibTeX."""
    year, authors = day_of(manifest)[:4], " and ".join(manifest["creators"])
    return (
        f"@misc{{{manifest['name']}{year}, author = {{{authors}}}, title = {{{title_of(manifest)}}}, "
        f"year = {{{year}}}, version = {{{manifest['version']}}}, note = {{sha256 {manifest['sha256']}}}}}"
    )


def _responsible(manifest: Mapping[str, Any], conditions: Sequence[Row]) -> dict[str, Any]:
    """How the answers came about, in the words of RAI 1.0."""
    collected = manifest["collected"]
    facts = {
        "rai:dataCollection": protocol_in_words(manifest),
        "rai:dataCollectionType": "Simulation"
        if manifest["source"] == "simulated"
        else "Surveys & Questionnaires",
        "rai:dataCollectionTimeframe": [day for day in (collected["from"], collected["to"]) if day],
        "rai:dataAnnotationProtocol": [_asked(row) for row in conditions],
        "rai:dataAnnotationPlatform": ""  # where they were asked is not known
        if manifest["source"] == "imported"
        else f"hilmix {manifest['code_version']}",
        "rai:dataAnnotationAnalysis": [_agreement(entry) for entry in manifest["agreement"]],
        "rai:annotationsPerItem": answers_a_unit(manifest),
        "rai:dataPreprocessingProtocol": who_is_left_out(manifest),
        "rai:personalSensitiveInformation": [
            names_of_people(manifest),
            *manifest["consent"],
        ],
        "rai:dataLimitations": limitations(manifest),
        "rai:dataReleaseMaintenancePlan": "A release never changes. Corrections and withdrawals make a new one.",
    }
    return {name: value for name, value in facts.items() if value}


def _asked(row: Row) -> str:
    bonus = f" Bonus: {row['bonus']}" if row["bonus"] else ""
    return (
        f"{row['condition']}: {row['interface']} (version {row['interface_version']}), asked in {row['language']} what "
        f"{'they see' if row['perspective'] == 'you' else row['perspective'] + ' see'}. Words: {row['wording']}.{bonus}"
    )


def _agreement(entry: Mapping[str, Any]) -> str:
    return f"{entry['condition']}: {entry['measure']} = {entry['value']:.3f} (n = {entry['n']}). {entry['meaning']}"


def _provenance(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What it was made of, and by what."""
    image_set, previous = manifest["image_set"], manifest["previous"]
    derived = [
        {"@id": f"urn:sha256:{image_set['sha256']}", "@type": "prov:Entity", "name": f"image set {image_set['name']}"},
        *(
            {"@id": f"urn:origin:{number}", "@type": "prov:Entity", "name": what,
             "license": licence.url or licence.title, "description": origin or licence.title}
            for number, (what, licence, origin) in enumerate(parts_of(manifest))
        ),
    ]  # fmt: skip
    facts: dict[str, Any] = {
        "prov:wasDerivedFrom": derived,
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "name": f"frozen by hilmix {manifest['code_version']}",
            "prov:endedAtTime": manifest["created_at"],
            "prov:used": {
                "@id": f"urn:sha256:{manifest['protocol_sha256']}",
                "name": "protocol of the study",
            },
        },
        "prov:wasAttributedTo": [
            {"@type": "prov:Agent", "name": creator} for creator in manifest["creators"]
        ],
    }
    if previous:
        facts["prov:wasRevisionOf"] = {
            "@id": f"urn:sha256:{previous['sha256']}",
            "@type": "prov:Entity",
            "name": f"{previous['name']} {previous['version']}",
        }
    return facts


# --- files and records


def _distribution(manifest: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for path, entry in sorted(manifest["files"].items()):
        folder, _, name = path.partition("/")
        if folder in ("data", "csv"):
            yield {
                "@type": "cr:FileObject",
                "@id": path,
                "name": path,
                "description": f"The table {name.partition('.')[0]}.",
                "contentUrl": path,
                "encodingFormat": _ENCODINGS[name.rpartition(".")[2]],
                "contentSize": f"{entry['bytes']} B",
                "sha256": entry["sha256"],
            }


def _record_sets(manifest: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    n_classes = len(manifest["image_set"]["classes"])
    for table in tables_in(manifest):
        yield {
            "@type": "cr:RecordSet",
            "@id": table,
            "name": table,
            "description": f"The rows of {file_of(table)}.",
            **_key(table),
            "field": [_field(table, column, n_classes) for column in columns_of(table, manifest["factors"])],
        }


def file_of(table: str) -> str:
    """The Parquet file of a table."""
    return f"data/{table}.parquet"


_KEYS = {
    "mixed_images": ("key",), "conditions": ("condition",), "responses": ("participant", "position"),
    "trials": ("participant", "position"), "checks": ("participant", "position"), "participants": ("participant",),
    "labels": ("key", "policy", "condition"), PICTURES: ("key",),
}  # fmt: skip


def _key(table: str) -> dict[str, Any]:
    """What names a row."""
    fields = [{"@id": f"{table}/{column}"} for column in _KEYS[table]]
    return {"key": fields[0] if len(fields) == 1 else fields}


def _field(table: str, column: Column, n_classes: int) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table}/{column.name}",
        "name": column.name,
        "description": column.description,
        "dataType": _DATA_TYPES[column.type],
        "source": {"fileObject": {"@id": file_of(table)}, "extract": {"column": column.name}},
    }
    if column.type == "probabilities":
        field |= {"isArray": True, "arrayShape": str(n_classes)}
        if table == "labels":
            field["dataType"] = [field["dataType"], "cr:Label"]
    if column.type == "picture":
        field["source"]["transform"] = {"jsonPath": "bytes"}
    return field


def _classes(classes: Sequence[str]) -> dict[str, Any]:
    """The classes as an enumeration: what the positions in the columns of classes mean."""
    return {
        "@type": "cr:RecordSet",
        "@id": CLASSES,
        "name": CLASSES,
        "description": "Class names by position; soft labels are in this order.",
        "dataType": "sc:Enumeration",
        "key": {"@id": f"{CLASSES}/position"},
        "field": [
            {"@type": "cr:Field", "@id": f"{CLASSES}/position", "name": "position",
             "description": "position of the class, from 0", "dataType": "sc:Integer"},
            {"@type": "cr:Field", "@id": f"{CLASSES}/name", "name": "name",
             "description": "name of the class", "dataType": "sc:Text"},
        ],
        "data": [
            {f"{CLASSES}/position": position, f"{CLASSES}/name": name} for position, name in enumerate(classes)
        ],
    }  # fmt: skip
