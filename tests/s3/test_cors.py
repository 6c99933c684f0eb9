"""Unit tests of CORS configurations."""

from types import SimpleNamespace
from typing import Any

import pytest

from pyrite.s3 import cors
from pyrite.s3.errors import S3Error
from pyrite.s3.schemas import parse_document


def _cors(inner: str) -> Any:
    rule = f"<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>{inner}</CORSRule>"
    return cors.parse(parse_document(f"<CORSConfiguration>{rule}</CORSConfiguration>".encode()))


@pytest.mark.parametrize(
    "inner",
    [
        "<AllowedHeader>a</AllowedHeader>" * 101,
        "<ExposeHeader>a b</ExposeHeader>",
        "<ExposeHeader>a&#13;b</ExposeHeader>",
    ],
)
def test_rules_that_are_refused(inner: str) -> None:
    """A rule with too many headers, or with one that is no name, is refused."""
    with pytest.raises(S3Error):
        _cors(inner)


def _preflight(count: int) -> Any:
    names = ",".join(f"x-{number}" for number in range(count)).encode()
    headers = {b"origin": b"https://a", b"access-control-request-headers": names}
    asked = {b"origin": "https://a", b"access-control-request-method": "GET"}
    request: Any = SimpleNamespace(headers=headers, header=asked.get, key=b"k")
    return cors.allowed_by(request, _cors("<AllowedHeader>*</AllowedHeader>"))


def test_a_preflight_asks_for_so_many_headers_and_no_more() -> None:
    """A browser that asks for 100 headers is answered; for more the rules are not searched at all."""
    assert _preflight(cors.WANTED_MAX).status == 200
    with pytest.raises(S3Error, match="at most 100 headers"):
        _preflight(cors.WANTED_MAX + 1)
