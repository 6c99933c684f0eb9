"""Owns the error codes of KMS, and what each error by meaning becomes.

Source: AWS, "Common errors" and the pages of the actions in the AWS KMS API Reference.
"""

from pyrite.aws.errors import AuthFault, Fault
from pyrite.core.errors import Unavailable
from pyrite.core.keyring import NotUnwrapped, UnknownMasterKey
from pyrite.http.errors import BodyTooLarge, MalformedBody
from pyrite.iam import errors as iam
from pyrite.iam.patterns import TooLongForPolicy
from pyrite.kms import errors as meaning

_STATUSES = {"KMSInternalException": 500, "DependencyTimeoutException": 503}


class JsonError(Exception):
    """An error as it goes to the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = _STATUSES.get(code, 400)
        self.message = message


_FAULTS = {
    Fault.UNKNOWN_KEY: "UnrecognizedClientException",
    Fault.MISMATCH: "InvalidSignatureException",
    Fault.SKEWED: "InvalidSignatureException",
    Fault.CONTENT_SHA256_MISMATCH: "InvalidSignatureException",
}
_MEANINGS: dict[type, str] = {
    meaning.NoSuchKmsKey: "NotFoundException",
    meaning.KeyDisabled: "DisabledException",
    meaning.KeyPending: "KMSInvalidStateException",
    meaning.AliasExists: "AlreadyExistsException",
    meaning.InvalidCiphertext: "InvalidCiphertextException",
    meaning.IncorrectKey: "IncorrectKeyException",
    meaning.InvalidKmsInput: "ValidationException",
    meaning.KmsAccessRefused: "AccessDeniedException",
    meaning.NoKeyring: "UnsupportedOperationException",
    iam.MalformedPolicy: "MalformedPolicyDocumentException",
    iam.InvalidToken: "UnrecognizedClientException",
    iam.ExpiredToken: "ExpiredTokenException",
    TooLongForPolicy: "AccessDeniedException",
    BodyTooLarge: "ValidationException",
    MalformedBody: "ValidationException",
    Unavailable: "DependencyTimeoutException",
    UnknownMasterKey: "DependencyTimeoutException",
    NotUnwrapped: "KMSInternalException",
}


def translate(error: Exception) -> JsonError | None:
    """The error that `error` becomes; None when it has no business reaching a client."""
    if isinstance(error, JsonError):
        return error
    if isinstance(error, AuthFault):
        return JsonError(_FAULTS.get(error.fault, "IncompleteSignatureException"), error.message)
    for kind in type(error).__mro__:
        if kind in _MEANINGS:
            return JsonError(_MEANINGS[kind], str(error))
    return None
