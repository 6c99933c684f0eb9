"""Owns the error codes of IAM and STS: the one table of codes and statuses, and what each error by meaning becomes.

Source: AWS, "Common errors" in the IAM and STS API References.
"""

from pyrite.aws.errors import AuthFault, Fault
from pyrite.core.errors import PyriteError, Unavailable
from pyrite.http.errors import BodyTooLarge, MalformedBody
from pyrite.iam import errors as meaning
from pyrite.iam.patterns import TooLongForPolicy

STATUSES = {
    "AccessDenied": 403,
    "AuthorizationError": 403,
    "DeleteConflict": 409,
    "EntityAlreadyExists": 409,
    "ExpiredTokenException": 400,
    "IDPCommunicationError": 400,
    "IDPRejectedClaim": 403,
    "IncompleteSignature": 403,
    "InternalFailure": 500,
    "InvalidAction": 400,
    "InvalidClientTokenId": 403,
    "InvalidIdentityToken": 400,
    "InvalidInput": 400,
    "InvalidParameterValue": 400,
    "LimitExceeded": 409,
    "MalformedPolicyDocument": 400,
    "MalformedQueryString": 400,
    "MissingAuthenticationToken": 403,
    "MissingParameter": 400,
    "NoSuchEntity": 404,
    "NotFound": 404,
    "PackedPolicyTooLarge": 400,
    "RequestExpired": 400,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "UnmodifiableEntity": 400,
    "ValidationError": 400,
}


class QueryError(PyriteError):
    """An error as it goes to the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = STATUSES[code]
        self.message = message


_FAULTS = {
    Fault.UNKNOWN_KEY: "InvalidClientTokenId",
    Fault.MISMATCH: "SignatureDoesNotMatch",
    Fault.SKEWED: "SignatureDoesNotMatch",
    Fault.EXPIRED: "RequestExpired",
    Fault.NOT_YET_VALID: "SignatureDoesNotMatch",
    Fault.CONTENT_SHA256_MISMATCH: "SignatureDoesNotMatch",
    Fault.MISSING_DATE: "IncompleteSignature",
}

_MEANINGS: dict[type, str] = {
    meaning.MalformedPolicy: "MalformedPolicyDocument",
    meaning.NoSuchEntity: "NoSuchEntity",
    meaning.EntityExists: "EntityAlreadyExists",
    meaning.DeleteConflict: "DeleteConflict",
    meaning.LimitExceeded: "LimitExceeded",
    meaning.InvalidInput: "ValidationError",
    meaning.Unmodifiable: "ServiceUnavailable",
    meaning.Sealed: "ServiceUnavailable",
    meaning.InvalidToken: "InvalidClientTokenId",
    meaning.ExpiredToken: "ExpiredTokenException",
    meaning.AccessRefused: "AccessDenied",
    TooLongForPolicy: "AccessDenied",
    meaning.RejectedIdentity: "InvalidIdentityToken",
    BodyTooLarge: "MalformedQueryString",
    MalformedBody: "MalformedQueryString",
    Unavailable: "ServiceUnavailable",
}
_MESSAGES: dict[type, str] = {
    meaning.InvalidToken: "The security token included in the request is invalid",
    meaning.ExpiredToken: "The security token included in the request is expired",
}


def translate(error: Exception) -> QueryError | None:
    """The error that `error` becomes; None when it has no business reaching a client."""
    if isinstance(error, QueryError):
        return error
    if isinstance(error, AuthFault):
        code = _FAULTS.get(error.fault, "IncompleteSignature")
        if code == "InvalidClientTokenId":
            return QueryError(code, "The security token included in the request is invalid.")
        return QueryError(code, error.message)
    for kind in type(error).__mro__:
        if kind in _MEANINGS:
            return QueryError(_MEANINGS[kind], _MESSAGES.get(kind, str(error)))
    return None
