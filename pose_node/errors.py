"""The package's errors. Each message is one sentence: the input, what was found, what was expected."""

from __future__ import annotations


class PoseNodeError(Exception):
    """Base class of all errors that the package raises itself."""


class InputError(PoseNodeError, ValueError):
    """A cloud, image, camera, mask or pose is invalid. ``code`` is stable, for counting."""

    def __init__(self, message: str, code: str = "bad_input") -> None:
        super().__init__(message)
        self.code = code


class ConfigError(PoseNodeError, ValueError):
    """A configuration key or value is unknown or out of range."""


class CardError(PoseNodeError, ValueError):
    """An object folder is incomplete, inconsistent or corrupt."""


class MeshError(PoseNodeError, ValueError):
    """A mesh cannot be read, is empty, or has an implausible unit or size."""


class ModelError(PoseNodeError, RuntimeError):
    """A network file is missing, corrupt, of the wrong hash or shape, or its provider failed."""


def code_of(error: Exception) -> str:
    """The stable code of an error, for counting."""
    return error.code if isinstance(error, InputError) else type(error).__name__.removesuffix("Error").lower()
