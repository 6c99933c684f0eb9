"""Owns what can be wrong with a request's signature and payload framing, by meaning, without codes."""

from enum import Enum, auto

from pyrite.core.errors import PyriteError


class Fault(Enum):
    """What is wrong; `s3/errors.py` maps each to AWS's code and status."""

    MALFORMED_AUTHORIZATION = auto()
    INVALID_AUTHORIZATION = auto()
    MALFORMED_PRESIGN = auto()
    UNSUPPORTED = auto()
    MISSING_DATE = auto()
    SKEWED = auto()
    EXPIRED = auto()
    NOT_YET_VALID = auto()
    UNSIGNED_HEADERS = auto()
    UNKNOWN_KEY = auto()
    MISMATCH = auto()
    ONE_MECHANISM = auto()
    INVALID_TOKEN = auto()
    BAD_CONTENT_SHA256 = auto()
    CONTENT_SHA256_MISMATCH = auto()
    MISSING_DECODED_LENGTH = auto()
    INCOMPLETE_BODY = auto()
    INVALID_CHUNK_SIZE = auto()
    MALFORMED_TRAILER = auto()


class AuthFault(PyriteError):
    """A request that is not, or not correctly, signed; `details` are extra elements of the error body."""

    def __init__(self, fault: Fault, message: str, details: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message
        self.details = details
