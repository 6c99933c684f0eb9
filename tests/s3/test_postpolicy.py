"""Unit tests of the policies of forms."""

import base64
import json

import pytest

from pyrite.s3 import postpolicy
from pyrite.s3.errors import S3Error


def _form(*conditions: object) -> bytes:
    return base64.b64encode(json.dumps({"expiration": "2100-01-01T00:00:00Z", "conditions": list(conditions)}).encode())


def test_both_ranges_of_a_length_hold() -> None:
    """Of two ranges of a form's length the narrower one counts."""
    found = postpolicy.parse(_form(["content-length-range", 5, 10], ["content-length-range", 0, 1000]))
    assert found.size_range == (5, 10)


def test_a_range_without_end() -> None:
    """An infinite length is refused."""
    with pytest.raises(S3Error):
        postpolicy.parse(
            base64.b64encode(b'{"expiration":"2100-01-01T00:00:00Z","conditions":[["content-length-range",0,1e999]]}')
        )
