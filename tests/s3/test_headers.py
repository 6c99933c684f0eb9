"""Unit tests of the headers that are stored with objects."""

import pytest

from pyrite.s3 import headers
from pyrite.s3.errors import S3Error


@pytest.mark.parametrize(
    "fields",
    [
        {b"cache-control": b"a\r\nb: c"},
        {b"content-language": b"a\0"},
        {b"x-amz-meta-a:b": b"c"},
        {b"x-amz-meta-a b": b"c"},
    ],
)
def test_what_cannot_be_sent_back_is_not_stored(fields: dict[bytes, bytes]) -> None:
    """Control characters in headers, and names that are no names, are refused before they are stored."""
    with pytest.raises(S3Error):
        headers.attributes_of(fields)
