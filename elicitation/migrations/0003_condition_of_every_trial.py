"""Trials of hilmix 0.1 get their unit's pair, and the condition that their protocol stands for: there was one each."""

import hashlib
import json

from django.db import migrations, models

WORDS = ("question", "confidence_question")


def condition_of(content):
    texts = content["texts"]
    return {
        "interface": content["interface"]["name"],
        "interface_version": content["interface"]["version"],
        "options": {},
        "language": "en-gb",
        "perspective": content["perspective"],
        "wording": {name: texts[name] for name in WORDS if name in texts},
        "bonus": "",
        "display": {
            "enlargement": content["display"]["enlargement"],
            "pixels": "css",
            "resampling": "nearest",
            "exposure_ms": None,
        },
    }


def give_conditions(apps, schema_editor):
    Protocol, Condition, Trial = (
        apps.get_model("elicitation", name) for name in ("Protocol", "Condition", "Trial")
    )
    for protocol in Protocol.objects.iterator():
        trials = Trial.objects.filter(participation__protocol=protocol)
        if trials.exists():
            content = condition_of(protocol.content)
            text = json.dumps(content, sort_keys=True, ensure_ascii=False)
            condition, _new = Condition.objects.get_or_create(
                study=protocol.study,
                sha256=hashlib.sha256(text.encode()).hexdigest(),
                defaults={"content": content},
            )
            trials.update(condition=condition)


def give_pairs(apps, schema_editor):
    Trial, Unit = apps.get_model("elicitation", "Trial"), apps.get_model("elicitation", "Unit")
    pair = Unit.objects.filter(pk=models.OuterRef("unit")).values("pair")
    Trial.objects.update(pair=models.Subquery(pair))


class Migration(migrations.Migration):

    dependencies = [("elicitation", "0002_ways_of_asking")]

    operations = [
        migrations.RunPython(give_pairs, migrations.RunPython.noop, elidable=False),
        migrations.RunPython(give_conditions, migrations.RunPython.noop, elidable=False),
    ]
