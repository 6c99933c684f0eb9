"""Owns the errors of the HTTP layer."""

from pyrite.core.errors import PyriteError


class HttpError(PyriteError):
    """The request breaks HTTP or a limit; `status` says how it is answered, and the connection is closed."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ClientGone(PyriteError):
    """The client closed the connection or went silent before its request was complete."""


class BodyTooLarge(PyriteError):
    """A body that is read whole is longer than its limit."""


class MalformedBody(PyriteError):
    """The chunk framing of the body is wrong."""


class BodyTooSlow(PyriteError):
    """The body comes too slowly while others wait for the memory that it takes."""


class WrongLength(PyriteError):
    """The body of a response has more or fewer bytes than its head says."""
