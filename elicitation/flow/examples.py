"""Images for practising the controls: mixes of parents that no trial of the study shows, drawn without its seed.

They teach what the controls do. What was mixed in which share is never told, here as elsewhere.
"""

from __future__ import annotations

import numpy as np

from elicitation.mixes.design import Recipe, draw_design
from elicitation.studies.models import Study, Unit
from hilmix.core.mixing import mix
from hilmix.errors import NotFound

N_EXAMPLES = 2
LAMBDAS_E4 = (6500, 3500)


def examples(study: Study) -> list[tuple[str, str]]:
    """The two class names of each example."""
    labels = study.image_set.open().labels
    classes = study.image_set.classes
    return [
        (classes[int(labels[recipe.first_index])], classes[int(labels[recipe.second_index])])
        for recipe in _recipes(study)
    ]


def example_image(study: Study, number: int) -> np.ndarray:
    """The uint8 [H, W, C] pixels of example `number`, 0 to `N_EXAMPLES` − 1."""
    recipes = _recipes(study)
    if not 0 <= number < len(recipes):
        raise NotFound("There is no such example.")
    images = study.image_set.open().images
    recipe = recipes[number]
    return mix(images[recipe.first_index], images[recipe.second_index], recipe.lambda_e4)


def _recipes(study: Study) -> list[Recipe]:
    opened = study.image_set.open()
    parents = Unit.objects.filter(batch__study=study).values_list("pair__first_index", "pair__second_index")
    shown = {index for pair in parents for index in pair}
    outside = [int(index) for index in opened.splits["train"] if int(index) not in shown]
    return draw_design(
        labels=opened.labels, indices=outside, lambdas_e4=LAMBDAS_E4, n=N_EXAMPLES, seed=study.pk
    )
