"""The API from Python, with nothing but Python's own library: lists as iterators, jobs to wait for, releases opened.

    from hilmix.core.client import Client

    hilmix = Client("https://hilmix.example.org", token)
    for answer in hilmix.rows("studies/hmix/responses/"):
        ...
    release = hilmix.download_release("hmix", "releases/hmix")

What an instance offers stands on its page /api/docs/. Whatever goes wrong is a `DataError` in words.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPErrorProcessor, Request, build_opener

from hilmix.core.errors import DataError
from hilmix.core.files import MANIFEST, new_directory
from hilmix.core.release import Release, open_release

API = "/api/v1/"
AT_ONCE = 8  # files that are fetched side by side
PIECE = 1 << 20  # bytes
ASK_AGAIN = 1.0  # seconds between two looks at a job


class _NoRedirects(HTTPErrorProcessor):
    """A token goes where it was sent and nowhere that the answer names."""

    def http_response(self, request: Request, response: Any) -> Any:
        return response

    https_response = http_response


class Client:
    """Asks one instance, as whoever the token belongs to.

    Args:
        url: where the instance is, such as https://hilmix.example.org.
        token: `hilmix_…`, made on the page of one's account.
        timeout: seconds without a word after which a call is given up.

    Raises:
        DataError: the address is none.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 60) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise DataError(f"{url!r} is no address of an instance; one begins with https:// or http://.")
        self._origin, self._root = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        self.url = self._origin + self._root
        self._token, self._timeout = token, timeout
        self._opener = build_opener(_NoRedirects)

    def __repr__(self) -> str:
        return f"Client({self.url!r})"  # the token is nobody's to read

    def get(self, path: str, **asked: Any) -> Any:
        """What the call at `path` (such as `studies/hmix/`, or an address that the API gave) answers, as JSON says it.

        Raises:
            DataError: it was refused, and why; or nobody answered.
        """
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return self._json(self._request("GET", path + ("&" if "?" in path else "?") * bool(query) + query))

    def post(self, path: str, **sent: Any) -> Any:
        """The same for a call that does something; `sent` goes with it as JSON."""
        return self._json(self._request("POST", path, json.dumps(sent).encode()))

    def rows(self, path: str, **asked: Any) -> Iterator[dict[str, Any]]:
        """Every row of the list at `path`, fetched page by page; `asked` are its filters, such as `since`."""
        page = self.get(path, **{"limit": 1000, **asked})
        yield from page["results"]
        while page["next"]:
            page = self.get(page["next"])
            yield from page["results"]

    def wait(self, job: Mapping[str, Any], *, timeout: float | None = None) -> dict[str, Any]:
        """The job that a call queued, once it is done; `result` is where to ask for what came of it.

        Raises:
            DataError: it failed, was cancelled or lost, and why; or it is not over after `timeout` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not (seen := self.get(job["url"]))["is_over"]:
            if until is not None and time.monotonic() > until:
                raise DataError(
                    f"“{seen['label']}” is not over after {timeout:g} seconds; it is {seen['state']}."
                )
            time.sleep(ASK_AGAIN)
        if seen["state"] != "done":
            raise DataError(f"“{seen['label']}” is {seen['state']}: {seen['error'] or 'nobody said why'}")
        return dict(seen)

    def find_release(self, name: str) -> dict[str, Any]:
        """The release called `name`: `hmix` is the newest of the study hmix, `hmix@1.0.0` is that one.

        Raises:
            DataError: there is none; says which there are.
        """
        study, _, version = name.partition("@")
        seen = list(self.rows("releases/", study=study))
        for release in seen:
            if version in ("", release["version"]):
                return release
        known = ", ".join(release["name"] for release in seen) or "none of this study"
        raise DataError(f"There is no release {name!r} that this token may see. Those it may: {known}.")

    def download_release(self, name: str, folder: Path | str) -> Release:
        """Fetch a release (named as in `find_release`) into `folder`, which is complete or absent, and open it.

        Raises:
            DataError: there is none, `folder` exists already, or what came is not what the manifest says.
        """
        found = self.find_release(name)
        with new_directory(Path(folder)) as directory:
            self._fetch(found["id"], MANIFEST, directory)
            manifest = json.loads((directory / MANIFEST).read_text("utf-8"))
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda path: self._fetch(found["id"], path, directory), manifest["files"]))
            release = open_release(directory)  # every hash is checked before the folder has its name
        return replace(release, directory=Path(folder).resolve())

    def download(self, path: str, file: Path | str, *, sha256: str = "") -> Path:
        """Fetch what the call at `path` sends into a new `file`; its hash is checked where one is given.

        Raises:
            DataError: it was refused, `file` exists already, or what came is not what was promised.
        """
        target, digest = Path(file), hashlib.sha256()
        if target.exists():
            raise DataError(
                f"{target} already exists. Choose another name; nothing that exists is written over."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        try:
            with self._request("GET", path) as reply, partial.open("wb") as out:
                while piece := reply.read(PIECE):
                    digest.update(piece)
                    out.write(piece)
                if reply.length:  # bytes that were announced and did not come
                    raise OSError("it broke off")
            if sha256 and digest.hexdigest() != sha256:
                raise DataError(
                    f"What came for {path} is not what was promised: its sha256 differs. Try again."
                )
            partial.replace(target)
        except (OSError, HTTPException) as error:
            raise DataError(f"{path} did not come whole from {self.url}: {error}. Try again.") from None
        finally:
            partial.unlink(missing_ok=True)
        return target

    def _fetch(self, release: int, path: str, directory: Path) -> None:
        """One file of a release; never beside its folder, whatever the manifest names."""
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
            raise DataError(f"The release names a file {path!r} outside its folder. It was not fetched.")
        self.download(f"releases/{release}/files/{quote(path)}", directory / path)

    def _request(self, verb: str, path: str, body: bytes | None = None) -> Any:
        """The open answer to a call. Only path and query of an address count: the token goes to one instance."""
        parts = urlsplit(path)
        local = parts.path if parts.path.startswith("/") else self._root + API + parts.path
        address = f"{self._origin}{local}{'?' * bool(parts.query)}{parts.query}"
        headers = {"Authorization": f"Token {self._token}", "Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = Request(address, data=body, headers=headers, method=verb)  # noqa: S310  (http or https, checked)
        try:
            reply = self._opener.open(request, timeout=self._timeout)
        except (URLError, HTTPException, OSError) as error:
            why = error.reason if isinstance(error, URLError) else error
            raise DataError(f"Nobody answers at {self.url}: {why}.") from None
        if reply.status >= 300:
            with reply:
                raise DataError(_refusal(verb, local, reply))
        return reply

    def _json(self, reply: Any) -> Any:
        try:
            with reply:
                return json.loads(reply.read())
        except (ValueError, OSError, HTTPException) as error:
            raise DataError(f"{self.url} did not answer as hilmix does: {error}.") from None


def _refusal(verb: str, path: str, reply: Any) -> str:
    """Why a call was refused, as the instance says it."""
    what = f"{verb} {path} was answered {reply.status}"
    if reply.status < 400:
        return f"{what}: the instance is at {reply.headers.get('Location', 'another address')}. Use that address."
    try:
        said = json.loads(reply.read())
        detail = said["fields"] if said.get("fields") else said["detail"]
    except (ValueError, KeyError, TypeError, AttributeError, OSError, HTTPException):
        return f"{what}, and not as hilmix does. Is {path} on this address?"
    return f"{what}: {detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)}"
