"""Every error a user can meet.

VisavisError
├── InputError              something the user gave cannot be used
│   ├── ConsentRefused      nobody has agreed to what a portrait is to be used for
│   ├── NoFaceFound         the portrait shows no usable face
│   └── UnreadableMedia     a file is missing, broken, empty or of an unknown kind
├── OutputError             the result cannot be written where it was asked for
├── ModelError              a model cannot be used
│   ├── UnknownModel        no model has that name
│   └── WeightsMismatch     a model file is not the one that was published
├── SessionError            a live session cannot do what it was asked
│   ├── SessionClosed       it has ended
│   ├── QueueFull           more sound waits than it holds
│   └── ServerFull          the server takes no further session now
└── MissingExtra            an optional package is not installed

Messages say what was given, what is accepted and what to do, in one line.
"""

from __future__ import annotations

from numbers import Integral


class VisavisError(Exception):
    """Base of all errors raised on purpose; the command line prints its message and exits 1."""


class InputError(VisavisError):
    """Something the user gave cannot be used."""


class NoFaceFound(InputError):  # noqa: N818 - reads as what happened
    """The portrait shows no face that can be animated."""


class UnreadableMedia(InputError):  # noqa: N818
    """A media file is missing, broken, empty or of a kind that cannot be decoded."""


class OutputError(VisavisError):
    """The result cannot be written where it was asked for."""


class ModelError(VisavisError):
    """A model cannot be used."""


class UnknownModel(ModelError):  # noqa: N818
    """No model has that name."""


class WeightsMismatch(ModelError):  # noqa: N818
    """A model file is not the one that was published."""


class SessionError(VisavisError):
    """A live session cannot do what it was asked."""


class SessionClosed(SessionError):  # noqa: N818
    """The session has ended; open another one."""


class QueueFull(SessionError):  # noqa: N818
    """More sound waits to be spoken than the session holds."""


class ServerFull(SessionError):  # noqa: N818
    """The server takes no further session now; ask again later."""


class MissingExtra(VisavisError):  # noqa: N818
    """An optional package is not installed; the message names the extra."""


def check_whole(name: str, value: int, low: int, high: int) -> None:
    """Refuse anything but a whole number from ``low`` to ``high``."""
    if not isinstance(value, Integral) or not low <= value <= high:
        raise InputError(f"{name} {value!r} is not a whole number from {low} to {high}.")
