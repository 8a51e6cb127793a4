"""Every error that inference raises.

InferenceError
├── InputRejected          the input can never work; retrying is useless
│   ├── UnsupportedFormat  no parser reads this kind of file
│   ├── DamagedFile        the file is broken, cut off or not what it claims to be
│   ├── EncryptedFile      a password is needed
│   ├── EmptyInput         there is nothing in it
│   └── LimitExceeded      a declared limit of time, size or memory was reached
├── ContextOverflow        the prompt is longer than the model's window
├── OutOfMemory            the batch did not fit; a smaller one may
├── EngineUnavailable      the engine's process is starting, ending or gone; try again
├── EngineBroken           the engine failed on valid input; the step failed, the worker lives
└── Cancelled              the caller ended the request

The class decides whether a step is retried (``retryable``) and, in core/api, the HTTP status.
"""

from __future__ import annotations


class InferenceError(Exception):
    """Base of all errors of this package."""

    code: str = "inference_error"
    retryable: bool = False


class InputRejected(InferenceError):
    """The input can never work; retrying is useless."""

    code = "input_rejected"


class UnsupportedFormat(InputRejected):
    """No parser reads this kind of file."""

    code = "unsupported_format"


class DamagedFile(InputRejected):
    """The file is broken, cut off or not what it claims to be."""

    code = "damaged_file"


class EncryptedFile(InputRejected):
    """A password is needed to read the file."""

    code = "encrypted_file"


class EmptyInput(InputRejected):
    """There is nothing in the input."""

    code = "empty_input"


class LimitExceeded(InputRejected):
    """A declared limit of time, size or memory was reached."""

    code = "limit_exceeded"


class ContextOverflow(InferenceError):
    """The prompt is longer than the model's window."""

    code = "context_overflow"


class OutOfMemory(InferenceError):
    """The batch did not fit; a smaller one may."""

    code = "out_of_memory"
    retryable = True


class EngineUnavailable(InferenceError):
    """The engine's process is starting, ending or gone; try again."""

    code = "engine_unavailable"
    retryable = True


class EngineBroken(InferenceError):
    """The engine failed on valid input."""

    code = "engine_broken"
    retryable = True


class Cancelled(InferenceError):
    """The caller ended the request."""

    code = "cancelled"


def _leaves(cls: type[InferenceError]) -> list[type[InferenceError]]:
    found = [cls]
    for sub in cls.__subclasses__():
        found.extend(_leaves(sub))
    return found


def errors_by_code() -> dict[str, type[InferenceError]]:
    """Return every error class by its code; used where errors cross a process boundary."""
    return {cls.code: cls for cls in _leaves(InferenceError)}
