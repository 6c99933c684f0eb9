"""Unit tests of CORS configurations."""

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
