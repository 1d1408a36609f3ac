"""Workers that are actors of a Ray cluster. Items and function are sent to them: only this machine reads our files.

Every machine needs this version of pose_node with its extras eval and ray. Results are equal to the byte among processors
of one kind; another kind may round differently.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from pose_node import __version__
from pose_node.evaluation.runs.worker import Outcome, Worker, WorkerError

_ITEMS_PER_ACTOR = 2  # the next one is sent while it works on one
_CONNECT_TIMEOUT_S = 5.0
_START_TIMEOUT_S = 120.0  # for actors to start on machines that run already; starting machines takes longer


class Cluster:
    """A ``Pool`` of ``jobs`` actors, by default one per CPU of the cluster.

    address: as Ray understands it; "local" starts a cluster of this machine alone and ends it with ``close``.
    """

    def __init__(self, pickled: bytes, address: str, jobs: int | None) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise WorkerError(
                "--ray: needs the package 'ray', which is not here: pip install 'pose_node[ray]'."
            ) from None
        self._ray, self._address = ray, address
        self._actor_of: dict[Future[Outcome], Any] = {}  # of items whose outcome was not yet asked for
        self._actors: list[Any] = []
        self._connect(jobs)
        try:
            jobs = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
            self.capacity = _ITEMS_PER_ACTOR * jobs
            actor, function = ray.remote(num_cpus=1)(RemoteWorker), ray.put(pickled)
            self._actors = [actor.remote(__version__, function) for _ in range(jobs)]
            self._await_start()
        except BaseException:
            self.close()
            raise

    def submit(self, item: Any) -> Future[Outcome]:
        load = Counter(actor for future, actor in self._actor_of.items() if not future.done())
        actor = min(self._actors, key=lambda a: load[a])
        future: Future[Outcome] = actor.work.remote(item).future()
        self._actor_of[future] = actor
        return future

    def outcome(self, future: Future[Outcome]) -> Outcome:
        del self._actor_of[future]
        return self._checked(future.result)

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._ray.shutdown()

    def _connect(self, jobs: int | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics
        own: dict[str, Any] = {}
        if self._address == "local":  # workers of the same priority as those of --jobs
            own = {"num_cpus": jobs, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
        try:
            _check_address(self._address)
            self._ray.init(address=self._address, log_to_driver=False, logging_level="ERROR", **own)
        except Exception as error:  # Ray raises many types here, among them plain Exception
            self._ray.shutdown()
            raise WorkerError(
                f"--ray {self._address}: found no cluster there ({_reason(error)}), expected the address of one, or local "
                "(a cluster with token authentication needs RAY_AUTH_MODE=token on this side, too)."
            ) from None

    def _await_start(self) -> None:
        """Raises WorkerError where the cluster has too few free CPUs, or another version of pose_node."""
        checks = [actor.ready.remote() for actor in self._actors]
        ready, missing = self._ray.wait(checks, num_returns=len(checks), timeout=_START_TIMEOUT_S)
        for check in ready:
            self._checked(partial(self._ray.get, check))
        if missing:
            raise WorkerError(
                f"--ray {self._address}: started {len(ready)} workers within {_START_TIMEOUT_S:.0f} s, expected {len(checks)}."
            )

    def _checked(self, get: Callable[[], Any]) -> Any:
        """What ``get`` returns; raises WorkerError for an error of Ray."""
        try:
            return get()
        except self._ray.exceptions.RayError as error:
            raise WorkerError(
                f"--ray {self._address}: a worker failed ({_reason(error)}), expected it to finish."
            ) from None


class RemoteWorker(Worker):
    """A worker on another machine, which may have another version of pose_node."""

    def __init__(self, version: str, pickled: bytes) -> None:
        super().__init__(pickled)
        self._version = version

    def ready(self) -> None:
        if self._version != __version__:
            raise WorkerError(f"pose_node is {__version__} there and {self._version} here")


def _check_address(address: str) -> None:
    """Raises OSError where nothing listens at HOST:PORT: Ray itself would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _CONNECT_TIMEOUT_S).close()


def _reason(error: Exception) -> str:
    """The first sentence of the last line of an error of Ray, which is often a whole traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    words = lines[-1] if lines else type(error).__name__
    return words.split(". ")[0].rstrip(".")
