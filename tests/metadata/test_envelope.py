"""A stored value is only ever taken for what was stored under its key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrite.metadata.envelope import seal, unseal, unseal_rows
from pyrite.metadata.kv import MetadataCorrupt


@given(st.binary(min_size=1, max_size=40), st.binary(max_size=100), st.integers(0, 2**63), st.data())
def test_a_flipped_bit_or_another_key_is_noticed(key: bytes, value: bytes, version: int, data: st.DataObject) -> None:
    """What was sealed is unsealed under its own key; with any bit flipped, or under another key, it is corrupt."""
    stored = seal(key, value, version)
    assert unseal(key, stored) == (value, version)
    at = data.draw(st.integers(0, len(stored) * 8 - 1))
    flipped = bytearray(stored)
    flipped[at // 8] ^= 1 << at % 8
    for wrong_key, wrong in ((key, bytes(flipped)), (key + b"x", stored), (key, stored[:15])):
        with pytest.raises(MetadataCorrupt):
            unseal(wrong_key, wrong)
        with pytest.raises(MetadataCorrupt):
            unseal_rows([(wrong_key, wrong)], b"")
