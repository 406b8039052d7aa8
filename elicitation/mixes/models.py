"""Pairs of parent images and their mixed images. A mixed image is a recipe; its pixels are made from it on demand."""

from __future__ import annotations

from django.db import models

from elicitation.images.models import ImageSet
from hilmix.core.mixing import lambda_text


class Pair(models.Model):
    """Two parent images of one split, in order: λ is the share of the first.

    An image with itself, at λ = 1, stands for the image unmixed: answers about plain images are imported so. Nothing
    that draws pairs draws one.
    """

    image_set = models.ForeignKey(ImageSet, models.PROTECT, related_name="pairs")
    first_index = models.PositiveIntegerField()
    second_index = models.PositiveIntegerField()
    first_class = models.PositiveSmallIntegerField()
    second_class = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["image_set", "first_index", "second_index"], name="one_pair_per_parents"
            ),
        ]


class MixedImage(models.Model):
    """`lambda_e4` ten-thousandths of the pair's first image, mixed by `method`; `sha256` is of the decoded pixels."""

    pair = models.ForeignKey(Pair, models.PROTECT, related_name="mixed_images")
    lambda_e4 = models.PositiveIntegerField()
    method = models.CharField(max_length=20, default="mixup@1")
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pair", "lambda_e4", "method"], name="one_mixed_image_per_recipe"
            ),
            models.CheckConstraint(condition=models.Q(lambda_e4__lte=10_000), name="lambda_is_a_share"),
        ]

    @property
    def key(self) -> str:
        """How releases name it: parents, λ and method, e.g. `12-873-0.25-mixup@1`."""
        pair = self.pair
        return f"{pair.first_index}-{pair.second_index}-{lambda_text(self.lambda_e4)}-{self.method}"
