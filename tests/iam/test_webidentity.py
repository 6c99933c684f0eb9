"""Tokens of identity providers: which are believed, and the forgeries that are not."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from pyrite.core.errors import PyriteError
from pyrite.iam.errors import ExpiredToken, RejectedIdentity
from pyrite.iam.providers import _check as check_provider
from pyrite.iam.records import ProviderRecord
from pyrite.iam.webidentity import believe, peek, usable_keys

ISSUER = "https://login.example/realm"
PROVIDER = ProviderRecord(account="111111111111", url=ISSUER, client_ids=("store", "spare"))
RSA, OTHER, EC = (
    RSAKey.generate_key(2048, {"kid": "rsa"}),
    RSAKey.generate_key(2048, {"kid": "rsa"}),
    ECKey.generate_key("P-256", {"kid": "ec"}),
)
KEYS = usable_keys({"keys": [{**RSA.as_dict(private=False), "use": "sig"}, EC.as_dict(private=False)]})
NOW = 1_900_000_000


def claims(**more: Any) -> dict[str, Any]:
    made = {"iss": ISSUER, "aud": "store", "sub": "ada", "iat": NOW - 10, "exp": NOW + 600, **more}
    return {name: value for name, value in made.items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", header: dict[str, Any] | None = None, **more: Any) -> str:
    return jwt.encode({"alg": algorithm, "kid": key.kid, **(header or {})}, claims(**more), key, algorithms=[algorithm])


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def check_rejected(text: str, error: type[Exception] = RejectedIdentity) -> None:
    with pytest.raises(error):
        believe(text, KEYS, PROVIDER, NOW)


def test_good_tokens_are_believed() -> None:
    """A token that the provider signed for a client says who its holder is, and which claims may be asked for."""
    for key, algorithm in ((RSA, "RS256"), (RSA, "PS256"), (EC, "ES256")):
        found = believe(token(key, algorithm, groups=["ml", "ops"], email="a@b.c"), KEYS, PROVIDER, NOW)
        assert (found.subject, found.audience) == ("ada", "store")
        assert found.keys["login.example/realm:groups"] == ("ml", "ops")
        assert found.keys["login.example/realm:sub"] == ("ada",)
    tags = {"https://aws.amazon.com/tags": {"principal_tags": {"team": ["red"]}}}
    assert believe(token(**tags), KEYS, PROVIDER, NOW).tags == {"team": ("red",)}


def test_no_algorithm() -> None:
    """CVE-2024-48916: alg none, in any spelling, proves nothing."""
    for name in ("none", "None", "NONE", "nOnE", ""):
        for signature in ("", "AAAA"):
            check_rejected(f"{part({'alg': name, 'kid': 'rsa'})}.{part(claims())}.{signature}")


def test_a_public_key_is_no_secret() -> None:
    """CVE-2026-33322, CVE-2017-11424: HMAC with the public key of the provider as its secret is refused."""
    for secret in (RSA.as_pem(private=False), json.dumps(RSA.as_dict(private=False)).encode()):
        for algorithm, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            signed = f"{part({'alg': algorithm, 'kid': 'rsa'})}.{part(claims())}"
            mac = base64.urlsafe_b64encode(hmac.new(secret, signed.encode(), digest).digest()).rstrip(b"=").decode()
            check_rejected(f"{signed}.{mac}")


def test_symmetric_keys_of_a_provider_are_no_keys() -> None:
    """A secret in a provider's published keys is known to everybody, and so is not taken for a key."""
    secret = OctKey.generate_key(256, {"kid": "oct"})
    assert usable_keys({"keys": [secret.as_dict(), {"kty": "oct"}, "x", {"kty": "RSA", "use": "enc"}]}) == []
    assert usable_keys({}) == [] and usable_keys({"keys": "x"}) == []


def test_keys_that_the_token_brings_along() -> None:
    """jwk, jku, x5u and x5c in the header are not looked at; the id of a key chooses among the provider's alone."""
    for header in (
        {"jwk": OTHER.as_dict(private=False)},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"kid": "../../../../dev/null"},
        {"kid": "rsa' OR '1'='1"},
        {"kid": "ec"},
    ):
        protected = {"alg": "RS256", "kid": "rsa", **header}
        signed = f"{part(protected)}.{part(claims())}"
        genuine = token(OTHER).rpartition(".")[2]
        check_rejected(f"{signed}.{genuine}")
    check_rejected(token(OTHER))


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"aud": ["store", "evil"], "azp": "evil"},
        {"aud": "evil", "azp": "store"},
        {"iss": "https://login.example/realm/"},
        {"iss": "https://evil.example"},
        {"sub": None},
        {"sub": ""},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 1e300},
        {"iat": None},
        {"iat": NOW + 3600},
        {"nbf": NOW + 3600},
    ],
    ids=str,
)
def test_wrong_claims(wrong: dict[str, Any]) -> None:
    """GHSA-xvfh and others: audience, issuer, party, subject and times have to be there and right."""
    check_rejected(token(**wrong))


def test_expired_tokens() -> None:
    """A token past its time is told apart."""
    check_rejected(token(exp=NOW - 60), ExpiredToken)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "....", "e30.e30.e30", "a" * 30_000, "\0.\0.\0", "[].[].[]"])
def test_what_is_no_token(text: str) -> None:
    """Garbage is refused, and nothing else happens."""
    with pytest.raises(RejectedIdentity):
        peek(text)
    check_rejected(text)


def test_a_changed_token() -> None:
    """A byte changed anywhere in a token makes it worthless."""
    good = token()
    for place in range(0, len(good), 7):
        changed = good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :]
        try:
            found = believe(changed, KEYS, PROVIDER, NOW)
        except RejectedIdentity:
            continue
        assert found == believe(good, KEYS, PROVIDER, NOW)  # the last character of a part may carry unused bits


def test_claims_that_differ_in_case_alone() -> None:
    """Condition keys have no case: a token whose claims differ in it alone is refused."""
    for more in ({"Sub": "eve"}, {"AUD": "other"}, {"groups": ["a"], "Groups": ["b"]}):
        with pytest.raises(RejectedIdentity):
            believe(token(**more), KEYS, PROVIDER, NOW)


@pytest.mark.parametrize("url", ["https://aws", "https://s3/", "https://sts"])
def test_no_provider_is_called_as_reserved_keys(url: str) -> None:
    """A provider's host becomes a prefix of condition keys, so that it is not called like a service."""
    with pytest.raises(PyriteError):
        check_provider(url, ["client"], [])
    for other in ("https://login.example", "https://login:8443", "https://login/realm"):
        check_provider(other, ["client"], [])
