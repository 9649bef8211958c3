"""A small imitation of the Hugging Face Hub on the loopback: one data set, its files, and faults on request.

It speaks what huggingface_hub and datasets ask for: the revision, the tree and information on paths of a
repository, and its files by ranges.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REPOSITORY = "unicamp-dl/mmarco"
REVISION = "6d039c4638c0ba3e46a9cb7b498b145e7edc6230"


class HubServer(ThreadingHTTPServer):
    """Serves `files` (path -> content); `faults` are used up one for each request of content: "fail", "slow"."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.always_fail = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def tree(self, folder: str, recursive: bool) -> list[dict[str, Any]]:
        """What lies in a folder, at any depth or directly in it; its subfolders come first."""
        inside = self.entries(folder)
        start = len(folder) + 1 if folder else 0
        below = {entry["path"] for entry in inside if "/" in entry["path"][start:]}
        names = {path[: path.index("/", start)] for path in below}
        folders = [
            {"type": "directory", "path": name, "size": 0, "oid": sha1(name.encode()).hexdigest()}
            for name in sorted(names)
        ]
        return folders + [entry for entry in inside if recursive or entry["path"] not in below]

    def entries(self, folder: str) -> list[dict[str, Any]]:
        """The files in a folder, at any depth."""
        return [
            {"type": "file", "path": path, "size": len(content), "oid": sha1(content).hexdigest()}
            for path, content in self.files.items()
            if not folder or path == folder or path.startswith(folder + "/")
        ]


class Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._note()
        if "/paths-info/" in self.path:
            kind = self.headers.get("Content-Type", "")
            asked = json.loads(body)["paths"] if "json" in kind else parse_qs(body.decode())["paths"]
            found = [entry for path in asked for entry in self.server.entries(path) if entry["path"] == path]
            self._send(json.dumps(found).encode())
        else:
            self._send(b"{}", 404)

    def do_GET(self) -> None:
        self._note()
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(rf"/datasets/{REPOSITORY}/resolve/[^/]+/(.+)", path):
            self._content(match[1])
        elif match := re.fullmatch(rf"/api/datasets/{REPOSITORY}/tree/[^/]+/?(.*)", path):
            recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in (
                "true",
                "1",
            )
            self._send(json.dumps(self.server.tree(match[1], recursive)).encode())
        elif re.fullmatch(rf"/api/datasets/{REPOSITORY}(/revision/[^/]+)?", path):
            siblings = [{"rfilename": name} for name in self.server.files]
            info = {"id": REPOSITORY, "sha": REVISION, "siblings": siblings, "tags": [], "private": False}
            self._send(json.dumps(info).encode())
        else:
            self._send(b"{}", 404)

    def _note(self) -> None:
        self.server.requests.append(f"{self.command} {self.path} {self.headers.get('Range', '')}")

    def _content(self, name: str) -> None:
        content = self.server.files.get(name)
        if content is None:
            self._send(b"Entry not found", 404, {"X-Error-Code": "EntryNotFound"})
            return
        fault = self.server.faults.pop(0) if self.server.faults and self.command == "GET" else ""
        if fault == "fail" or (self.server.always_fail and self.command == "GET"):
            self._send(b"", 500)
            return
        if fault == "slow":
            time.sleep(4)
        headers = {
            "ETag": f'"{sha1(content).hexdigest()}"',
            "X-Repo-Commit": REVISION,
            "Accept-Ranges": "bytes",
        }
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            begin, end = int(asked[1]), min(int(asked[2] or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
            self._send(content[begin : end + 1], 206, headers)
        else:
            self._send(content, 200, headers)

    def _send(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client had waited long enough


@contextmanager
def hub_server(files: dict[str, bytes]) -> Iterator[HubServer]:
    """A running server of some files."""
    with HubServer(files) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
