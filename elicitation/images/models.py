"""An image set: parent images with their classes and splits, kept as a hashed directory that the core opens."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.urls import reverse

from hilmix.core import imageset


class ImageSet(models.Model):
    """The name under which a directory of images is known; the directory is found by its content hash."""

    name = models.CharField(max_length=80, unique=True)
    sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=20, help_text="where it came from: digits, npz, folder, cifar10")
    n_images = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    channels = models.PositiveSmallIntegerField()
    classes = models.JSONField(help_text="class names in the order of their integer labels")
    splits = models.JSONField(help_text="split name → number of images")
    human_labels_sha256 = models.CharField(max_length=64, blank=True)
    licence = models.CharField(
        max_length=60,
        blank=True,
        help_text="of the images: a name of core.licences, empty where none was stated",
    )
    human_labels_licence = models.CharField(
        max_length=60, blank=True, help_text="of the human labels, likewise"
    )
    origin = models.CharField(
        max_length=300, blank=True, help_text="whom to credit for the images, and where from"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("image_set", args=[self.name])

    @property
    def directory(self) -> Path:
        return Path(settings.VAR) / "imagesets" / self.name

    def open(self) -> imageset.ImageSet:
        """The images, labels, splits and human labels as arrays (images memory-mapped)."""
        return imageset.open_image_set(self.directory)
