"""Files that people bring: kept under a name of ours until they were imported, tried first, imported by a job."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from hilmix.accounts import audit
from hilmix.accounts.roles import Actor, require, user_or_none
from hilmix.core.errors import DataError, Refused
from hilmix.errors import Conflict, Invalid
from hilmix.hub.importers.registry import IMPORTERS, Brought
from hilmix.hub.models import Upload
from hilmix.jobs.models import Job
from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.jobs.services import queue_job

JOB_KIND = "import_upload"
NOT_UNDERSTOOD = "The file holds something that could not be understood. The job's page and the log say more."
KEPT = timedelta(days=2)  # a file that was tried and never imported


def receive_upload(
    *, kind: str, filename: str, pieces: Iterable[bytes], options: Mapping[str, Any], actor: Actor
) -> Upload:
    """Keep a file and queue a dry run of its import.

    Raises:
        Invalid: the file is empty, of another kind by its name, or larger than `LARGEST_UPLOAD` bytes.
    """
    importer = IMPORTERS[kind]
    require(actor, importer.action)
    if not filename.casefold().endswith(importer.suffix):
        raise Invalid("Wrong kind of file.", fields={"file": [f"Its name must end in {importer.suffix}."]})
    _remove_old()
    upload = Upload(
        kind=kind,
        filename=PurePath(filename).name[-200:],
        options=dict(options),
        created_by=user_or_none(actor),
    )
    upload.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        upload.n_bytes, upload.sha256 = _write(upload.path, pieces)
        with transaction.atomic():
            upload.save()
            audit.record(actor, "upload.received", upload, kind=kind, sha256=upload.sha256)
            _queue(upload, actor)
    except BaseException:
        upload.path.unlink(missing_ok=True)
        raise
    return upload


def import_upload(*, upload: Upload, actor: Actor) -> Job:
    """Queue the import of a file whose dry run went well.

    Raises:
        Conflict: it was not tried, was refused, was imported already, or is no longer kept.
    """
    require(actor, IMPORTERS[upload.kind].action)
    if upload.report.get("errors") or upload.finished_at is None:
        raise Conflict("Only a file that was tried and found to have nothing to refuse can be imported.")
    if not upload.path.exists():
        raise Conflict("The file was imported already, or is no longer kept. Bring it again.")
    with transaction.atomic():
        # Whoever asks first, of two who ask at once.
        tried = Upload.objects.filter(pk=upload.pk, dry_run=True, finished_at__isnull=False)
        if not tried.update(dry_run=False, finished_at=None):
            raise Conflict("This file was imported already, or is just being imported.")
        upload.refresh_from_db()
        return _queue(upload, actor)


def run_upload(*, upload: Upload, actor: Actor, progress: Progress) -> None:
    """Import the file, or try to; what came of it is in `upload.report`.

    A file that is refused changes nothing: the report names every row, and a job that should have imported it fails.
    """
    importer = IMPORTERS[upload.kind]
    require(actor, importer.action)
    with tempfile.TemporaryDirectory(prefix="hilmix-upload-") as folder:
        brought = Brought(upload.path, Path(folder), upload.options, upload.dry_run, actor, progress)
        try:
            upload.report = importer.run(brought)
        except (DataError, Invalid, Conflict) as error:
            upload.report = _refusal(error, upload, folder)
            if not upload.dry_run:
                upload.dry_run = True  # nothing came in, so it was one
                _finish(upload)
                raise
        except JobCancelled:
            raise
        except Exception:  # a fault of ours, or one that a file was made to find
            upload.report = _refusal(DataError(NOT_UNDERSTOOD), upload, folder)
            _finish(upload)
            raise
    _finish(upload)
    if not upload.dry_run:
        upload.path.unlink(missing_ok=True)
    for note in upload.report.get("notes", []):
        progress.log(note)


def _refusal(error: Exception, upload: Upload, folder: str) -> dict[str, Any]:
    """Every row that is refused, in words that name the file as it was brought and not as it is kept here."""

    def said(text: str) -> str:
        for here, there in ((f"{folder}/", ""), (folder, upload.filename), (str(upload.pk), upload.filename)):
            text = text.replace(here, there)
        return text

    whole = {"table": "", "row": None, "column": "", "problem": str(error)}
    rows: Any = error.errors if isinstance(error, Refused) else [whole]
    errors = [{**row, "table": said(row["table"]), "problem": said(row["problem"])} for row in rows]
    n_errors = error.n if isinstance(error, Refused) else 1
    return {"message": said(str(error)), "errors": errors, "n_errors": n_errors}


def _finish(upload: Upload) -> None:
    upload.finished_at = timezone.now()
    upload.save(update_fields=["report", "dry_run", "finished_at"])


def _queue(upload: Upload, actor: Actor) -> Job:
    doing = "Try the import of" if upload.dry_run else "Import"
    return queue_job(
        kind=JOB_KIND, object_id=str(upload.pk), label=f"{doing} “{upload.filename}”"[:200], actor=actor
    )


def _write(path: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
    """Write the file; return its size in bytes and its sha256."""
    digest, n_bytes = hashlib.sha256(), 0
    with path.open("xb") as file:
        for piece in pieces:
            n_bytes += len(piece)
            if n_bytes > settings.LARGEST_UPLOAD:
                most = f"{settings.LARGEST_UPLOAD / 1e6:g} MB"
                raise Invalid("The file is too large.", fields={"file": [f"It is larger than {most}."]})
            digest.update(piece)
            file.write(piece)
    if not n_bytes:
        raise Invalid("The file is empty.", fields={"file": ["It is empty."]})
    return n_bytes, digest.hexdigest()


def _remove_old() -> None:
    for upload in Upload.objects.filter(created_at__lt=timezone.now() - KEPT):
        upload.path.unlink(missing_ok=True)
