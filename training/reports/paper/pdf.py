"""HTML as PDF by WeasyPrint, which is an extra (`pip install hilmix[pdf]`) and needs three libraries of the system."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

# As WeasyPrint opens them, and the packages of Debian that have them.
LIBRARIES = {
    "libpango-1.0": "libpango-1.0-0",
    "libpangoft2-1.0": "libpangoft2-1.0-0",
    "libharfbuzz-subset": "libharfbuzz-subset0",
}
# Wherever it is printed there is a font: matplotlib's own, in which the figures are drawn too.
FACES = {("normal", "normal"): "", ("bold", "normal"): "-Bold", ("normal", "italic"): "-Oblique"}


def missing() -> str:
    """What must be installed before a PDF can be made, in a sentence; empty where nothing is missing."""
    if importlib.util.find_spec("weasyprint") is None:
        return "WeasyPrint is not installed: .venv/bin/pip install -c constraints.txt -e '.[pdf]'"
    absent = [package for library, package in LIBRARIES.items() if not _opens(library)]
    return f"WeasyPrint lacks libraries of the system: apt install {' '.join(absent)}" if absent else ""


def as_pdf(html: str) -> bytes:
    """The PDF of an HTML text, with tags for screen readers. Nothing is fetched: pictures are in the text itself."""
    import matplotlib
    from PIL import ImageFile

    strict = ImageFile.LOAD_TRUNCATED_IMAGES
    from weasyprint import CSS, HTML
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import URLFetcher

    # WeasyPrint lets the whole process take broken pictures, and this worker imports image sets.
    ImageFile.LOAD_TRUNCATED_IMAGES = strict

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    files = {face: (folder / f"DejaVuSans{end}.ttf").as_uri() for face, end in FACES.items()}

    class FromHere(URLFetcher):
        def fetch(self, url: str, headers: Any = None) -> Any:
            if not url.startswith("data:") and url not in files.values():
                raise ValueError(f"{url} is not fetched")
            return super().fetch(url, headers)

    faces = "".join(
        f"@font-face {{ font-family: 'DejaVu Sans'; font-weight: {weight}; font-style: {style}; src: url({file}); }}"
        for (weight, style), file in files.items()
    )
    fonts, fetcher = FontConfiguration(), FromHere()
    sheet = CSS(string=faces, font_config=fonts, url_fetcher=fetcher)
    written: bytes = HTML(string=html, url_fetcher=fetcher).write_pdf(
        stylesheets=[sheet], font_config=fonts, pdf_tags=True
    )
    return written


def _opens(library: str) -> bool:
    """Whether the system has a library, by its name on Linux or on a Mac."""
    for name in (f"{library}.so.0", f"{library}.0.dylib"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False
