"""The Python client before an instance that is none, is broken, or means ill."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hilmix.core.client import Client
from hilmix.core.errors import DataError

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, Any]], tuple[str, list[Any]]]]:
    """`serve({path: answer})` starts a server; its address, and the list of what it is asked."""
    servers: list[ThreadingHTTPServer] = []

    def start(answers: dict[str, Any]) -> tuple[str, list[Any]]:
        asked: list[Any] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers["Authorization"]))
                answer = answers[self.path.partition("?")[0]]
                status, headers, body = answer if isinstance(answer, tuple) else (200, {}, as_bytes(answer))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def as_bytes(answer: Any) -> bytes:
    return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


RELEASES = {"next": None, "results": [{"id": 3, "name": "hmix@1.0.0", "version": "1.0.0"}]}


def a_release(*paths: str) -> dict[str, Any]:
    files = {f"/api/v1/releases/3/files/{path}": b"x" for path in paths}
    manifest = {"format": "hilmix-release-4", "files": {path: {} for path in paths}}
    return {"/api/v1/releases/": RELEASES, "/api/v1/releases/3/files/manifest.json": manifest, **files}


@pytest.mark.parametrize("url", ["", "hilmix.org", "file:///etc/passwd", "ftp://there", "http://"])
def test_what_is_no_address_of_an_instance_is_refused_at_once(url):
    with pytest.raises(DataError, match="no address of an instance"):
        Client(url, "hilmix_token")


def test_nobody_who_answers_is_said_in_words():
    with pytest.raises(DataError, match=r"Nobody answers at http://127\.0\.0\.1:9"):
        Client("http://127.0.0.1:9", "hilmix_token").get("studies/")


def test_the_token_is_not_shown():
    assert "hilmix_token" not in repr(Client("https://hilmix.org", "hilmix_token"))


def test_a_redirect_is_not_followed_with_the_token(serve):
    there, asked_there = serve({"/": {}})
    here, _asked = serve({"/api/v1/studies/": (302, {"Location": there + "/"}, b"")})
    with pytest.raises(DataError, match=f"the instance is at {there}/"):
        Client(here, "hilmix_token").get("studies/")
    assert asked_there == []


def test_a_next_page_that_leads_elsewhere_is_asked_for_here(serve):
    there, asked_there = serve({"/api/v1/studies/": {}})
    first = {"next": f"{there}/api/v1/studies/?cursor=abc", "results": [1]}
    here, asked = serve({"/api/v1/studies/": first})
    rows = Client(here, "hilmix_token").rows("studies/", state="open")
    assert [next(rows), next(rows)] == [1, 1]
    assert [path for path, _token in asked] == [
        "/api/v1/studies/?limit=1000&state=open",
        "/api/v1/studies/?cursor=abc",
    ]
    assert asked_there == []


def test_an_instance_under_a_path_is_asked_there(serve):
    url, asked = serve({"/hilmix/api/v1/studies/": {"next": "/hilmix/api/v1/more/", "results": [1]},
                        "/hilmix/api/v1/more/": {"next": None, "results": [2]}})  # fmt: skip
    assert list(Client(f"{url}/hilmix/", "hilmix_token").rows("studies/")) == [1, 2]
    assert {token for _path, token in asked} == {"Token hilmix_token"}


@pytest.mark.parametrize(
    "answer", [b"<html>", b"", b'{"next": ', (200, {"Content-Length": "100"}, b"{}"), (502, {}, b"<html>")]
)
def test_what_is_no_answer_of_hilmix_is_said_to_be_none(serve, answer):
    url, _asked = serve({"/api/v1/studies/": answer})
    with pytest.raises(DataError, match=r"not answer as hilmix does|not as hilmix does"):
        Client(url, "hilmix_token", timeout=2).get("studies/")


@pytest.mark.parametrize("path", ["../outside", "/outside", "data/../../outside", "a\\..\\outside"])
def test_a_release_writes_nothing_beside_its_folder(serve, tmp_path, path):
    url, _asked = serve(a_release(path))
    with pytest.raises(DataError, match="outside its folder"):
        Client(url, "hilmix_token").download_release("hmix", tmp_path / "in" / "hmix")
    assert list((tmp_path / "in").iterdir()) == []
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


def test_a_release_that_is_not_what_it_says_leaves_no_folder(serve, tmp_path):
    url, _asked = serve(a_release("data/labels.parquet"))
    with pytest.raises(DataError):
        Client(url, "hilmix_token").download_release("hmix", tmp_path / "hmix")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_kept_only_if_it_is_what_was_promised(serve, tmp_path):
    url, _asked = serve({"/api/v1/exports/1/file/": b"key\n"})
    client, target = Client(url, "hilmix_token"), tmp_path / "answers.csv"
    with pytest.raises(DataError, match="its sha256 differs"):
        client.download("exports/1/file/", target, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []
    assert client.download("exports/1/file/", target).read_bytes() == b"key\n"
    with pytest.raises(DataError, match="already exists"):
        client.download("exports/1/file/", target)


def test_a_file_that_breaks_off_is_not_kept(serve, tmp_path):
    url, _asked = serve({"/api/v1/exports/1/file/": (200, {"Content-Length": "100"}, b"key\n")})
    with pytest.raises(DataError):
        Client(url, "hilmix_token", timeout=2).download("exports/1/file/", tmp_path / "answers.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("state", ["failed", "cancelled", "lost"])
def test_a_job_that_did_not_end_well_says_why(serve, state):
    job = {"is_over": True, "label": "Freeze", "state": state, "error": "Nobody has answered."}
    url, _asked = serve({"/api/v1/jobs/7/": job})
    with pytest.raises(DataError, match=f"“Freeze” is {state}: Nobody has answered."):
        Client(url, "hilmix_token").wait({"url": "/api/v1/jobs/7/"})


def test_a_job_is_waited_for_no_longer_than_was_said(serve):
    url, _asked = serve(
        {"/api/v1/jobs/7/": {"is_over": False, "label": "Freeze", "state": "queued", "error": ""}}
    )
    with pytest.raises(DataError, match="not over after 0 seconds; it is queued"):
        Client(url, "hilmix_token").wait({"url": "/api/v1/jobs/7/"}, timeout=0)
