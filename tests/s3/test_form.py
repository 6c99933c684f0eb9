"""The body of a form, whose file is stored only when all of it is what was signed."""

import asyncio
import hashlib
from typing import Any

import pytest

from pyrite.s3.errors import S3Error
from pyrite.s3.form import Form

BOUNDARY = b"edge"
FORM = (
    b'--edge\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nthe file\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="behind"\r\n\r\nit\r\n--edge--\r\n'
)


class Pieces:
    """A body that comes in pieces of so many bytes."""

    def __init__(self, data: bytes, size: int) -> None:
        self._pieces = [data[start : start + size] for start in range(0, len(data), size)]

    async def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def received(data: bytes, size: int, sha256: str) -> tuple[dict[str, bytes], bytes]:
    """The fields and the file of a form."""
    body: Any = Pieces(data, size)

    async def main() -> tuple[dict[str, bytes], bytes]:
        form = Form(body, BOUNDARY, sha256)
        await form.read_fields()
        target = memoryview(bytearray(100))
        count = await form.read_into(target)
        return form.fields, bytes(target[:count])

    return asyncio.run(main())


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_form_that_was_signed_is_received(size: int) -> None:
    """In whatever pieces it comes: its fields, then its file."""
    for sha256 in ("", hashlib.sha256(FORM).hexdigest()):
        assert received(FORM, size, sha256) == ({"key": b"k"}, b"the file")


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("change", [(b"the file", b"another!"), (b"\n\r\nit", b"\n\r\nno"), (b"\n\r\nk", b"\n\r\nj")])
def test_another_form_than_the_signed_one_is_refused(change: tuple[bytes, bytes], size: int) -> None:
    """A file, a field in front of it or one behind it that somebody exchanged is found before the file is stored."""
    changed = FORM.replace(*change)
    assert changed != FORM
    with pytest.raises(S3Error) as refused:
        received(changed, size, hashlib.sha256(FORM).hexdigest())
    assert refused.value.code == "XAmzContentSHA256Mismatch"
