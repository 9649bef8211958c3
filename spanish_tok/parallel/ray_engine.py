"""The engine of a Ray cluster: where it is, and a connection to it.

The work of a task is the local engine's, over a part of the input and with one thread: whole files, or row groups
of a large Parquet file (readers/splits.py). Results are small and depend neither on the parts nor on which task
ended first. No text but that of samples passes through Ray's object store. docs/history.md says why the pipelines of
Ray Data are not used.
"""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from spanish_tok.errors import SpanishTokError
from spanish_tok.parallel.ray_cluster import RETRIES, Cluster
from spanish_tok.parallel.threads import available_cores

OBJECT_STORE = 200 << 20  # bytes, of a cluster that is started here: only results lie in it
TIMEOUT = 10.0  # seconds for a cluster to answer
SETTINGS = {  # of Ray, unless the environment says otherwise; they are read when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",  # no calls home
    "RAY_task_oom_retries": str(RETRIES),  # the default is without end
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning about a future default
    "RAY_worker_niceness": "0",  # the default is 15: any other work of the machine would starve them
}


@dataclass(frozen=True)
class Ray:
    """Run the tasks of a job on a Ray cluster. Never changes the result.

    address: "HOST:PORT" of the cluster; None means RAY_ADDRESS, or a cluster of this machine's cores.
    reader: "ray" reads Parquet, text and JSON lines with Ray Data's own readers, within the tasks.
    threads: for what is done in this process; None stands for all cores.
    """

    address: str | None = None
    reader: Literal["own", "ray"] = "own"
    threads: int | None = None
    divides: ClassVar[bool] = True  # a task reads a part of the input
    task_threads: ClassVar[int] = 1

    @property
    def threads_here(self) -> int:
        """Threads for the work that every engine does in this process."""
        return self.threads or available_cores()

    @contextmanager
    def connected(self) -> Iterator[Cluster]:
        """Give a connection to the cluster.

        One that this process has already is used, and left open.

        Raises SpanishTokError if Ray is not installed, or nothing answers at the address.
        """
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            import ray
        except ModuleNotFoundError:
            raise SpanishTokError("The engine ray needs Ray", "pip install 'spanish-tok[ray]'") from None
        if ray.is_initialized():
            yield Cluster(ray)
            return
        with redirect_stdout(sys.stderr):  # where Ray prints what happens to workers and nodes
            _connect(ray, self.address or os.environ.get("RAY_ADDRESS"))
            try:
                yield Cluster(ray)
            finally:
                ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    """Connect to a cluster, or start one here.

    No dashboard, nothing of what workers print.
    """
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
            "Start one with `ray start --head`, or give no --address to use this machine alone.",
        ) from None
