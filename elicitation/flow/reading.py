"""Where flow reads protocols: as `studies.reading` does it, which planning uses too."""

from __future__ import annotations

from elicitation.studies.reading import Reading, Way, reading_of

__all__ = ["Reading", "Way", "reading_of"]
