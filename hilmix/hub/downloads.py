"""Sends files of a release, and figures as files.

Of a release only names that the manifest lists are ever opened, so no path leads elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import FileResponse, HttpResponse

from hilmix.drawing import draw
from hilmix.drawing_panels import Pictures
from hilmix.errors import NotFound
from hilmix.figures import as_csv
from hilmix.hub.models import Release


def file_of(release: Release, path: str) -> FileResponse:
    """The file at `path` of the release as a download.

    Raises:
        NotFound: the manifest lists no such file.
    """
    if path != "manifest.json" and path not in release.opened.manifest["files"]:
        raise NotFound(f"Release {release.name} has no file called {path!r}; its manifest.json lists all.")
    name = f"{release.study.slug}-{release.version}-{path.replace('/', '-')}"
    return FileResponse(
        (release.directory / path).open("rb"),
        as_attachment=True,
        filename=name,
        content_type="application/octet-stream",
    )


def figure_file(
    figure: Mapping[str, Any], name: str, extension: str, watermark: str, pictures: Pictures | None = None
) -> HttpResponse:
    """A figure as a download called `name`: its data as csv, or drawn as PNG or PDF, a gallery from its `pictures`.

    Raises:
        NotFound: `extension` is none of these.
    """
    match extension:
        case "csv":
            content, media = as_csv(figure, watermark).encode(), "text/csv; charset=utf-8"
        case "png":
            content, media = draw(figure, watermark, "png", pictures), "image/png"
        case "pdf":
            content, media = draw(figure, watermark, "pdf", pictures), "application/pdf"
        case _:
            raise NotFound("A figure is offered as csv, png and pdf.")
    named = {"Content-Disposition": f'attachment; filename="{name}.{extension}"'}
    return HttpResponse(content, content_type=media, headers=named)
