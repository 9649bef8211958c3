"""Where one machine and a Ray cluster differ: who calls the functions of a job, and what becomes of their failures.

The work itself is the local engine's: a task on the cluster calls `counting.count_part`, `shards.make_shards` or
`candidates.gather` over a part of the input (see readers/splits.py: whole files, or row groups of a large
Parquet file), with one thread. What comes back is small and does not depend on how the input was parted, nor on which
task
ended first: counts are added up, and samples cut to their size, as a tree in the cluster; shards have their
names from the input, the records of a sample their order from their keys.

A task reads with the readers of this package, from any address that fsspec knows (s3://, gs://, hf://) or a disk that
all nodes share; where ReadOptions say reader="ray", with Ray Data's own, called within the task (readers/ray_data.py).
Either way no text but that of samples passes through Ray's object store, where blocks are copied, spilled, and
lost with their nodes.

Why the pipelines of Ray Data are not used, tried with Ray 2.60. `read_text` drops empty lines, ends lines at U+2028,
U+0085 and a bare "\\r", and stops at invalid UTF-8. `read_json` makes a date of the id "2020-01-01" and fails where ids
are numbers and strings by turns; with lines=True neither, but then a number of more than 64 bits or a byte that is
not UTF-8 ends the job. `read_csv` fails at a further tab. None counts what it drops or mends, nor names the row that
is wrong. `read_parquet` divides a large file by row groups, and gave the same counts. But
  - of several paths it needs aiohttp, which neither Ray nor fsspec asks for: without it, threads that list files
    import one module at once and fail (ImportError, 12 times of 12 with 40 files);
  - all files must have one schema: ids that are strings here and integers there are an error, and a file
    without the column of texts gives nulls in silence, where the local engine names the file;
  - rows are told by a hash, and a damaged page ends the whole job, of which nothing is kept;
  - its tasks hold blocks of 128 MB, and what Arrow reads ahead: 1.2 to 1.5 GB a worker, with a limit of 32 MB
    for blocks, too, where batches of 8,192 rows take 0.4;
  - to count one file of 1,531 MB of text on two cores took 25 and 26 s (43 s the first time, as it starts
    actors), and the row groups that this package reads itself 19 to 22 s.
Of all this a reader that is called for one path at a time keeps only what lies in the reader itself. (docs/scale.md
shows how the same functions run inside a Ray Data pipeline of one's own.)
"""

import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Literal

from spanish_tok.errors import SpanishTokError
from spanish_tok.parallel.ray_engine import RETRIES, RayEngine
from spanish_tok.parallel.threads import available_cores

EngineName = Literal["local", "ray"]

OBJECT_STORE = 200 << 20  # bytes, of a cluster that is started here: only results lie in it
TIMEOUT = 10.0  # seconds for a cluster to answer
SETTINGS = {  # of Ray, unless the environment says otherwise; they are read when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",  # no calls home
    "RAY_task_oom_retries": str(RETRIES),  # the default is for ever
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning about a future default
    "RAY_worker_niceness": "0",  # the default is 15: any other work of the machine would starve them
}


@contextmanager
def connected(address: str | None = None) -> Iterator[RayEngine]:
    """A connection to the cluster at `address`; without one to RAY_ADDRESS, or to a cluster of this machine's cores.

    A connection that this process has already is used, and left open.

    Raises SpanishTokError where Ray is not installed or nobody answers at the address.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError:
        raise SpanishTokError("The engine ray needs Ray", "pip install 'spanish-tok[ray]'") from None
    if ray.is_initialized():
        yield RayEngine(ray)
        return
    with redirect_stdout(sys.stderr):  # where Ray prints what happens to workers and nodes
        _connect(ray, address or os.environ.get("RAY_ADDRESS"))
        try:
            yield RayEngine(ray)
        finally:
            ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    """Connect to a cluster, or begin one here; no dashboard, nothing of what workers print."""
    own: dict[str, Any] = {"num_cpus": available_cores(), "object_store_memory": OBJECT_STORE}
    own |= {"include_dashboard": False}
    try:
        if address and address != "auto":
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), TIMEOUT).close()  # Ray itself would end this process
        ray.init(
            address or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if address else own)
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise SpanishTokError(
            f"There is no Ray cluster at {address} ({error})",
            "Begin one with `ray start --head`, or give no --address to use this machine alone.",
        ) from None


def check_shared(paths: Sequence[Path]) -> None:
    """Raise SpanishTokError where a file that a worker wrote is not seen here."""
    if missing := [path for path in paths if not path.exists()]:
        raise SpanishTokError(
            f"{missing[0]} was written by a worker and is not seen here",
            "Give a folder on a disk that all nodes share under the same path.",
        )
