"""Addresses of choices, cards and weights, under /experiments/."""

from __future__ import annotations

from django.urls import path

from training.choices import pages

urlpatterns = [
    path("<int:experiment_id>/choice/", pages.experiment_choice, name="experiment_choice"),
    path("<int:experiment_id>/choice/record/", pages.choose, name="choose_arm"),
    path("<int:experiment_id>/arms/<int:ordinal>/card/", pages.model_card, name="model_card"),
    path(
        "<int:experiment_id>/arms/<int:ordinal>/card.<str:extension>",
        pages.model_card_file,
        name="model_card_file",
    ),
    path("runs/<int:run_id>/weights.safetensors", pages.run_weights, name="run_weights"),
]
