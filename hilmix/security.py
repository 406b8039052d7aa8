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

from csp.constants import NONE, SELF, UNSAFE_INLINE

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

# For the jsPsych page only (design rule 16).
STYLE_ATTRIBUTES = {"style-src": [SELF, UNSAFE_INLINE]}


class WithoutPrivateLinks(logging.Filter):
    """Lets every line through, without the part of a participant's address that must not get out."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = PRIVATE_LINK.sub("/p/…", record.getMessage()), ()
        return True


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
