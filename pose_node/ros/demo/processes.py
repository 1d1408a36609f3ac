"""Child processes of the demo: started with an environment of their own, stopped for certain."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType

_PATIENCE_S = 5.0  # from SIGTERM to SIGKILL
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: between fork and exec is no time for it


def environment() -> dict[str, str]:
    """This machine only, and a domain of its own, so that nobody else's robot hears the demo or disturbs it."""
    # Domains above 101 may collide with ports that Linux gives to others; 0 is everybody's default.
    domain = os.environ.get("POSE_NODE_DEMO_DOMAIN") or str(1 + os.getpid() % 100)
    local = {"ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if os.environ.get("ROS_DISTRO") in ("humble", "galactic", "foxy"):  # they know only this one
        local = {"ROS_DOMAIN_ID": domain, "ROS_LOCALHOST_ONLY": "1"}
    return {**os.environ, **local}


def _die_with_parent() -> None:
    """In the child, before its program: ask Linux for SIGTERM should the demo itself be killed, which no code survives."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A Python module run as a process; leaving the ``with`` block ends it: SIGTERM, patience, SIGKILL."""

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
            return self.process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
