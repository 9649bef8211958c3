"""Changes to files of ours, for tests: copies of folders, values in JSON, hashes that are right again."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

MANIFESTS = ("manifest.json", "model.json", "restorer.json")


def copied(folder: Path, target: Path) -> Path:
    """A copy of a folder inside another one."""
    return Path(shutil.copytree(folder, target / folder.name))


def changed_json(path: Path, place: tuple[Any, ...], value: Any) -> None:
    """Set the value at a place of a JSON file; "DELETE" removes it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    holder = {"": content}
    *way, last = "", *place
    inner: Any = holder
    for step in way:
        inner = inner[step]
    if value == "DELETE":
        del inner[last]
    else:
        inner[last] = value
    path.write_text(json.dumps(holder[""]), encoding="utf-8")


def rewrite_hashes(folder: Path) -> None:
    """Write into the manifests of a folder what the files now are, so that their content is reached."""
    for name in MANIFESTS:
        path = folder / name
        if not path.exists():
            continue
        manifest = json.loads(path.read_text(encoding="utf-8"))
        for file in filter(lambda name: (folder / name).exists(), manifest.get("files", {})):
            manifest["files"][file] = sha256((folder / file).read_bytes()).hexdigest()
        for shard in manifest.get("shards", []):
            shard["sha256"] = sha256((folder / shard["file"]).read_bytes()).hexdigest()
        path.write_text(json.dumps(manifest), encoding="utf-8")
