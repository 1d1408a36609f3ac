"""Child processes of the demo: an environment of their own, and a stop that cannot fail."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType

_KILL_AFTER_S = 5.0  # after SIGTERM
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here, as it must not be between fork and exec


def environment() -> dict[str, str]:
    """This machine only, and a ROS domain of its own, so that the demo and other ROS systems do not mix."""
    # Ports of domains above 101 may collide with Linux's ephemeral ports; 0 is the default domain.
    domain = os.environ.get("POSE_NODE_DEMO_DOMAIN") or str(1 + os.getpid() % 100)
    local = {"ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if os.environ.get("ROS_DISTRO") in ("humble", "galactic", "foxy"):  # these know only the older variable
        local = {"ROS_DOMAIN_ID": domain, "ROS_LOCALHOST_ONLY": "1"}
    return {**os.environ, **local}


def _die_with_parent() -> None:
    """In the child, before its program: ask Linux to send it SIGTERM when the demo itself is killed."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A Python module run as a process; leaving the ``with`` block ends it: SIGTERM, and SIGKILL after a while."""

    def __init__(self, module: str, arguments: Sequence[str], env: Mapping[str, str], read: bool = False) -> None:
        command = [sys.executable, "-m", module, *arguments]
        output = subprocess.PIPE if read else None
        self.process = subprocess.Popen(command, env=dict(env), stdout=output, text=True, preexec_fn=_die_with_parent)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def running(self) -> bool:
        """False once it has ended by itself."""
        return self.process.poll() is None

    def stop(self) -> int:
        """End it and return its exit code."""
        if self.running():
            self.process.terminate()
        try:
            return self.process.wait(_KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
