"""Owns AssumeRoleWithCertificate: from a client certificate, verified in the TLS handshake, to the session of a role.

AWS has no such action; its name and parameters are those that SDKs of other stores send. The role is that of RoleArn,
or the one of the store's own account that is called like the certificate's common name. Its trust policy has to name
`arn:aws:iam::ACCOUNT:client-certificates` as Federated, and may look at the condition keys x509:*.
"""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pyrite.aws.arns import iam_arn
from pyrite.iam.errors import RejectedIdentity
from pyrite.iam.patterns import Values
from pyrite.iamapi.actions.sts import assumed_role_user, find_role, refused
from pyrite.iamapi.actions.webidentity import holder_of, require_trust
from pyrite.iamapi.call import Call, Handler, Result
from pyrite.iamapi.sessions import DURATION_MIN_S, Wanted, Who, begin, session_policies

_ACTION = "sts:AssumeRoleWithCertificate"
PROVIDER = "client-certificates"


async def assume_role_with_certificate(call: Call) -> Result:
    name, keys = _subject(call.certificate)
    arn = call.params.get("RoleArn") or iam_arn(call.identities.own_account, f"role/{name}")
    role = await find_role(call, arn)
    if role is None:
        raise refused(call, _ACTION, arn)
    owner = await call.identities.callers.owner_of(role.account)
    holder = holder_of(role, owner, iam_arn(role.account, PROVIDER), name)
    require_trust(_ACTION, arn, role, holder, {**call.keys, **keys})
    duration_s = call.params.number(
        "DurationSeconds", min(3600, role.max_session_s), DURATION_MIN_S, role.max_session_s
    )
    policies, arns = await session_policies(call, role.account)
    session = "".join(c if c.isascii() and (c.isalnum() or c in "+=,.@-_") else "-" for c in name)[:64].ljust(2, "-")
    wanted = Wanted(session, duration_s, policies, arns, {}, provider=holder.provider, keys=keys)
    _, credentials = await begin(call, Who("role", role.account, role.name, role.id), wanted)
    return {"Credentials": credentials, "AssumedRoleUser": assumed_role_user(role, session), "PackedPolicySize": 0}


def _subject(certificate: bytes) -> tuple[str, dict[str, Values]]:
    """The common name of a verified certificate, and what policies may ask of it. Raises RejectedIdentity."""
    if not certificate:
        raise RejectedIdentity("No client certificate was presented, or the server asks for none (--tls-client-ca).")
    parsed = x509.load_der_x509_certificate(certificate)
    try:
        usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
            raise RejectedIdentity("The certificate is not for the authentication of clients.")
    except x509.ExtensionNotFound:
        pass  # a certificate without the extension is good for every use (RFC 5280 section 4.2.1.12)
    names = [str(one.value) for one in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1 or not names[0]:
        raise RejectedIdentity("The certificate has not exactly one common name.")
    keys: dict[str, Values] = {
        "x509:subject": (parsed.subject.rfc4514_string(),),
        "x509:subject/cn": (names[0],),
        "x509:issuer": (parsed.issuer.rfc4514_string(),),
        "x509:fingerprint": (parsed.fingerprint(hashes.SHA256()).hex(),),
    }
    units = tuple(str(one.value) for one in parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME))
    if units:
        keys["x509:subject/ou"] = units
    return names[0], keys


HANDLERS: dict[str, Handler] = {"AssumeRoleWithCertificate": assume_role_with_certificate}
