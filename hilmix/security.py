"""Security policy as data: content security policy, cookies, headers and the secrets of an embedded instance.

One page may relax the policy (the jsPsych page, whose library sets style attributes); it does so by name with
`STYLE_ATTRIBUTES`, so that a search for that name finds every relaxation.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_INLINE
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "blob:", "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}

PRIVATE_LINK = re.compile(r"/p/[^/\s]+")  # whoever has it is the participant

OVERHEAD = 100_000  # bytes that the other fields of a form with a file may take

# For the jsPsych page only (design rule 16).
STYLE_ATTRIBUTES = {"style-src": [SELF, UNSAFE_INLINE]}


class WithoutPrivateLinks(logging.Filter):
    """Lets every line through, without the part of a participant's address that must not get out."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = PRIVATE_LINK.sub("/p/…", record.getMessage()), ()
        return True


class LimitedUpload(FileUploadHandler):
    """Stops a body that is larger than anybody may send before it fills the disk; strangers may send little.

    Stands first among the handlers, because a body is read before any view decides.
    """

    def handle_raw_input(self, *body: Any, **more: Any) -> None:
        _input, _headers, content_length, *_rest = body
        person = getattr(self.request, "user", None)
        known = person is not None and person.is_authenticated
        self.left = settings.LARGEST_UPLOAD if known else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if content_length > self.left + OVERHEAD:
            raise RequestDataTooBig("The body is larger than may be sent.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self.left -= len(raw_data)
        if self.left < 0:
            raise RequestDataTooBig("The body is larger than may be sent.")
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The next handler keeps the file."""


def key_from_file(path: Path) -> str:
    """The secret kept in `path`, made on first use; readable by its owner only.

    Two processes that start at once agree on one key: the file is created exclusively under a temporary name and
    linked into place, and whoever loses reads the winner's.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text(encoding="ascii").strip()
