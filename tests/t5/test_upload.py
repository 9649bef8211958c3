"""The recipe of docs/how-to/export.md that uploads folders, with the real client against a server on the loopback."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

from spanish_tok import Tokenizer
from spanish_tok.files import shipped
from spanish_tok.t5.checkpoint import Checkpoint
from tests.conftest import TOP
from tests.hub_server import Handler, HubServer

PARTIAL = ".config.json.1.partial"


class UploadServer(HubServer):
    """Takes commits: `files` are by REPOSITORY/path, contents of large files wait in `large` for their commit."""

    def __init__(self) -> None:
        super().__init__({})
        self.RequestHandlerClass = UploadHandler
        self.large: dict[str, bytes] = {}


class UploadHandler(Handler):
    server: UploadServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._note()
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            self._answer({"url": f"{self.server.address}/{asked['organization']}/{asked['name']}"})
        elif "/preupload/" in self.path:
            modes = {True: "lfs", False: "regular"}
            self._answer(
                {
                    "files": [
                        {**file, "uploadMode": modes[file["size"] > 1_000_000], "shouldIgnore": False}
                        for file in json.loads(body)["files"]
                    ]
                }
            )
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.address}/large/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._answer({"transfer": "basic", "objects": objects})
        elif match := re.fullmatch(r"/api/models/(.+/.+)/commit/main", self.path):
            self._commit(match[1], [json.loads(line) for line in body.splitlines()])
        else:
            self._send(b"{}", 404)

    def do_PUT(self) -> None:
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        content = (
            b"".join(self._chunks()) if chunked else self.rfile.read(int(self.headers["Content-Length"]))
        )
        self.server.large[sha256(content).hexdigest()] = content
        self._send(b"")

    def _chunks(self) -> Any:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _commit(self, repository: str, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.server.files[f"{repository}/{value['path']}"] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.server.files[f"{repository}/{value['path']}"] = self.server.large[value["oid"]]
        self._answer({"commitUrl": f"{self.server.address}/{repository}/commit/1", "commitOid": "1" * 40})

    def _answer(self, value: Any) -> None:
        self._send(json.dumps(value).encode(), 200, {"Content-Type": "application/json"})


def recipe() -> str:
    section = (TOP / "docs/how-to/export.md").read_text(encoding="utf-8").split("## The Hub")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    return code[1]


def test_what_is_uploaded_is_the_folder(tmp_path: Path) -> None:
    shutil.copytree(shipped("vocab/es-5000"), tmp_path / "vocabulary")
    Checkpoint.load(shipped("models/es-tiny")).save(tmp_path / "model-hf")
    (tmp_path / "model-hf" / PARTIAL).write_text("left by a kill -9")
    with UploadServer() as hub:
        thread = Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.address,
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": "hf_of_a_test",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }
        command = [sys.executable, "-c", recipe()]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        hub.shutdown()
        thread.join()
    assert done.returncode == 0, done.stderr + "\n".join(hub.requests)
    for name, content in hub.files.items():
        path = tmp_path / "received" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for repository, folder in (("USER/VOCABULARY", "vocabulary"), ("USER/MODEL", "model-hf")):
        sent = {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        sent.pop(PARTIAL, None)
        received = (tmp_path / "received" / repository).iterdir()
        assert {path.name: path.read_bytes() for path in received} == sent
    assert hub.large  # the weights went as a large file
    assert Tokenizer.load(tmp_path / "received/USER/VOCABULARY").vocab_size == 5000
    Checkpoint.load(tmp_path / "received/USER/MODEL")
