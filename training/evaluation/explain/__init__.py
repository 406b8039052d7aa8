"""What a model looked at, and how it arranges images: heat maps, attention, and maps of its features.

Each function gives plain arrays and a `Manifest` that says how they were made; pages draw them. Heat maps come
from `cams` (Grad-CAM, Grad-CAM++) and `rollout` (attention), features from `features`, their two-dimensional maps
from `projections`. A heat map shows where evidence lay, not why; its maximum says how much there was.
"""

from __future__ import annotations
