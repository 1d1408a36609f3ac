"""Workers that are actors of a Ray cluster. Items and the call are sent to them: no machine but this one reads our files.

Every machine needs this version of pose_node with its extras eval and ray. Bytes agree as far as the machines' processors
are of one kind: another one may round differently.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from typing import Any

from pose_node import __version__
from pose_node.evaluation.runs.worker import Done, Worker, WorkerError

_EACH = 2  # items an actor has: the next one travels while it works
_KNOCK_S = 5.0
_START_S = 120.0  # for actors to be there; machines that have yet to be started take longer than anyone waits


class Cluster:
    """A ``Pool`` of ``jobs`` actors, one a CPU of the cluster where nobody says how many.

    address: as Ray understands it; "local" starts a cluster of this machine alone and ends it with ``close``.
    """

    def __init__(self, packed: bytes, address: str, jobs: int | None) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise WorkerError(
                "--ray: needs the package 'ray', which is not here: pip install 'pose_node[ray]'."
            ) from None
        self._ray, self._address = ray, address
        self._tasks: dict[Any, Any] = {}  # what is under way: reference of the answer -> actor
        self._actors: list[Any] = []
        self._connect(jobs)
        try:
            jobs = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
            self.capacity = _EACH * jobs
            actor, call = ray.remote(num_cpus=1)(Checked), ray.put(packed)
            self._actors = [actor.remote(__version__, call) for _ in range(jobs)]
            self._await_start()
        except BaseException:
            self.close()
            raise

    def submit(self, number: int, item: Any) -> None:
        load = Counter(self._tasks.values())
        actor = min(self._actors, key=lambda a: load[a])
        self._tasks[actor.work.remote(number, item)] = actor

    def next_done(self) -> Done:
        (reference,), _ = self._ray.wait(list(self._tasks), num_returns=1)
        del self._tasks[reference]
        return self._get(reference)

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._ray.shutdown()

    def _connect(self, jobs: int | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told
        own: dict[str, Any] = {}
        if self._address == "local":  # workers no less urgent than those of --jobs
            own = {"num_cpus": jobs, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
        try:
            _knock(self._address)
            self._ray.init(address=self._address, log_to_driver=False, logging_level="ERROR", **own)
        except Exception as error:  # Ray says so by many kinds, among them plain Exception
            self._ray.shutdown()
            raise WorkerError(
                f"--ray {self._address}: found no cluster there ({_reason(error)}), expected the address of one, or local "
                "(one that asks for tokens needs RAY_AUTH_MODE=token on this side, too)."
            ) from None

    def _await_start(self) -> None:
        """Raises WorkerError where actors find no room, or another pose_node."""
        checks = [actor.ready.remote() for actor in self._actors]
        there, missing = self._ray.wait(checks, num_returns=len(checks), timeout=_START_S)
        for check in there:
            self._get(check)
        if missing:
            raise WorkerError(
                f"--ray {self._address}: found room for {len(there)} workers within {_START_S:.0f} s, expected {len(checks)}."
            )

    def _get(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise WorkerError(
                f"--ray {self._address}: found a worker that failed ({_reason(error)}), expected it to work to the end."
            ) from None


class Checked(Worker):
    """A worker on another machine, which may have another pose_node than ours."""

    def __init__(self, version: str, packed: bytes) -> None:
        super().__init__(packed)
        self._version = version

    def ready(self) -> None:
        if self._version != __version__:
            raise WorkerError(f"pose_node is {__version__} there and {self._version} here")


def _knock(address: str) -> None:
    """Raises OSError where nobody answers at HOST:PORT: Ray itself would go on asking for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _KNOCK_S).close()


def _reason(error: Exception) -> str:
    """The first sentence of the last thing that Ray says, which is often the whole list of calls."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    words = lines[-1] if lines else type(error).__name__
    return words.split(". ")[0].rstrip(".")
