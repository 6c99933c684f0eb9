"""Owns Reed-Solomon coding over liberasurecode (ISA-L, Cauchy matrix).

Fragments are stored without liberasurecode's own header of 80 bytes, which depends only on the geometry and the
fragment's index: it is made once for each size and put back before decoding.
"""

from collections.abc import Mapping

from pyeclib.ec_iface import ECDriver

from pyrite.core.errors import Corrupt
from pyrite.core.lru import LruMap

_PREFIX_BYTES = 80
_PREFIXES_KEPT = 64


class Coder:
    """Encodes and decodes stripes of k data and m parity fragments. Methods may run on any thread."""

    def __init__(self, data: int, parity: int) -> None:
        self._data = data
        self._parity = parity
        self._driver = ECDriver(k=data, m=parity, ec_type="isa_l_rs_cauchy")
        self._prefixes: LruMap[int, list[bytes]] = LruMap(_PREFIXES_KEPT)

    def parity(self, stripe: bytes) -> list[memoryview]:
        """The parity payloads of a stripe whose length is k times the payload length."""
        fragments = self._driver.encode(stripe)
        return [memoryview(fragment)[_PREFIX_BYTES:] for fragment in fragments[self._data :]]

    def decode(self, available: Mapping[int, memoryview], payload: int) -> bytes:
        """The stripe (k * payload bytes) from any k payloads by shard index. Raises Corrupt with fewer."""
        if len(available) < self._data:
            raise Corrupt(f"{len(available)} of {self._data} fragments needed are readable")
        prefixes = self._prefix(payload)
        chosen = sorted(available.items())[: self._data]
        stripe: bytes = self._driver.decode([prefixes[index] + bytes(part) for index, part in chosen])
        return stripe

    def rebuild(self, available: Mapping[int, memoryview], payload: int, missing: list[int]) -> dict[int, memoryview]:
        """The payloads of the `missing` shards from any k others by shard index. Raises Corrupt with fewer."""
        if len(available) < self._data:
            raise Corrupt(f"{len(available)} of {self._data} fragments needed are readable")
        prefixes = self._prefix(payload)
        chosen = sorted(available.items())[: self._data]
        made = self._driver.reconstruct([prefixes[index] + bytes(part) for index, part in chosen], missing)
        return {shard: memoryview(whole)[_PREFIX_BYTES:] for shard, whole in zip(missing, made, strict=True)}

    def _prefix(self, payload: int) -> list[bytes]:
        prefixes = self._prefixes.get(payload)
        if prefixes is None:
            encoded = self._driver.encode(bytes(self._data * payload))
            prefixes = [fragment[:_PREFIX_BYTES] for fragment in encoded]
            self._prefixes.put(payload, prefixes)
        return prefixes


class Coders:
    """One coder for each geometry in use."""

    def __init__(self) -> None:
        self._coders: dict[tuple[int, int], Coder] = {}

    def get(self, data: int, parity: int) -> Coder:
        """The coder of this geometry."""
        coder = self._coders.get((data, parity))
        if coder is None:
            coder = self._coders[(data, parity)] = Coder(data, parity)
        return coder
