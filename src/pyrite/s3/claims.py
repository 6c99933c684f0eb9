"""Owns what a signed request says of itself beside its signature: headers that stand in a URL, how the body is signed,
and the fields of a form.
"""

from collections.abc import Mapping

from pyrite.aws import sigv4
from pyrite.aws.errors import AuthFault, Fault
from pyrite.aws.payload import SIGNED, SIGNED_TRAILER, STREAMING, ChunkSigner
from pyrite.s3.request import PayloadRule, S3Request, text_of

_ECDSA_STREAMING = (
    b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
    b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
)
_HEX = frozenset(b"0123456789abcdef")


OF_FORMS = frozenset(
    ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "signature", "awsaccesskeyid")
)


def need_fields(fields: Mapping[str, bytes], names: tuple[str, ...]) -> None:
    """Raises AuthFault for the first field that a signed form lacks."""
    for name in names:
        if name.lower() not in fields:
            raise AuthFault(
                Fault.INVALID_AUTHORIZATION,
                f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the "
                "fields.",
                (("ArgumentName", name), ("ArgumentValue", "")),
            )


def is_hoisted(name: bytes) -> bool:
    """Whether a parameter stands for a header that says something of the object."""
    lower = name.lower()
    return lower not in _AUTH_PARAMETERS and (lower.startswith(b"x-amz-") or lower in _HOISTED)


def adopt_query_headers(request: S3Request) -> None:
    """A presigned URL may carry headers as parameters, those of x-amz- and those of conditions; one that is also sent
    must say the same.
    """
    adopted = {}
    for name, value in request.query.items():
        lower = name.lower()
        if not is_hoisted(name):
            continue
        sent = request.headers.get(lower)
        if sent is not None and sent != value:
            raise AuthFault(Fault.UNSIGNED_HEADERS, f"{text_of(lower)} differs between the URL and the headers")
        adopted[lower] = value
    if adopted:
        request.headers = {**request.headers, **adopted}


_HOISTED = frozenset((b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"))
_AUTH_PARAMETERS = frozenset(
    (
        b"x-amz-algorithm",
        b"x-amz-credential",
        b"x-amz-date",
        b"x-amz-expires",
        b"x-amz-signature",
        b"x-amz-signedheaders",
        b"x-amz-content-sha256",
        b"x-amz-security-token",
    )
)


def payload_rule(declared: bytes, claim: sigv4.Claim | None, key: bytes, amz_date: str) -> PayloadRule:
    """How a body is signed, by what x-amz-content-sha256 says. Raises AuthFault."""
    if declared == sigv4.UNSIGNED_PAYLOAD:
        return PayloadRule(declared)
    if len(declared) == 64 and _HEX.issuperset(declared):
        return PayloadRule(b"SHA256", declared.decode("ascii"))
    if declared in STREAMING:
        if claim is None or declared not in (SIGNED, SIGNED_TRAILER):
            return PayloadRule(declared)
        return PayloadRule(declared, "", ChunkSigner(key, amz_date, claim.credential.scope, claim.signature))
    if declared in _ECDSA_STREAMING:
        raise AuthFault(Fault.UNSUPPORTED, "AWS4-ECDSA-P256-SHA256 is not supported; sign with AWS4-HMAC-SHA256")
    raise AuthFault(
        Fault.BAD_CONTENT_SHA256,
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        (("ArgumentName", "x-amz-content-sha256"), ("ArgumentValue", text_of(declared))),
    )
