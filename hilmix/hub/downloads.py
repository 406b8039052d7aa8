"""Sends files of a release. Only names that the manifest lists are ever opened, so no path leads elsewhere."""

from __future__ import annotations

from django.http import FileResponse

from hilmix.errors import NotFound
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
