"""A fragment verifies only where it belongs, and only unharmed."""

import pytest

from pyrite.blobs.fragment import KIND_DATA, KIND_LOG, header, verify

PAYLOAD = b"some payload"
PLACE = (KIND_DATA, 7, 2, 4096)


def stored(payload: bytes = PAYLOAD) -> bytearray:
    return bytearray(header(*PLACE, payload) + payload)


def test_a_fragment_verifies_in_its_place() -> None:
    """What was stored is recognised."""
    assert verify(memoryview(stored()), *PLACE)


@pytest.mark.parametrize(
    "place", [(KIND_LOG, 7, 2, 4096), (KIND_DATA, 8, 2, 4096), (KIND_DATA, 7, 3, 4096), (KIND_DATA, 7, 2, 4104)]
)
def test_a_fragment_of_another_place_does_not(place: tuple[int, int, int, int]) -> None:
    """Another kind, volume, shard or offset is noticed, even where the header is made to say what is asked."""
    forged = stored()
    assert not verify(memoryview(forged), *place)
    assert header(*place, PAYLOAD)[-8:] != bytes(forged[24:32])


def test_every_flipped_bit_is_noticed() -> None:
    """No single bit of header or payload may change."""
    for position in range(len(stored()) * 8):
        damaged = stored()
        damaged[position // 8] ^= 1 << position % 8
        assert not verify(memoryview(damaged), *PLACE)
