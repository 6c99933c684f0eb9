"""Owns examining a database for damage: every row is read, every value verified, and all of it summed up.

LMDB has no checksums of its own, so a damaged page may show rows that verify and leave out others: copies of one
database have to agree in the sum, too. Reading a damaged database may end the process, so it is done in one apart.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
from xxhash import xxh3_64

from pyrite.metadata.envelope import TAIL_BYTES, unseal
from pyrite.metadata.environment import LmdbEnvironment
from pyrite.metadata.kv import MetadataCorrupt
from pyrite.metadata.longkeys import STUB


class Examined(msgspec.Struct, frozen=True, array_like=True):
    """What stands in a database: the number of its last transaction, its rows and their sum, and how many are bad."""

    sequence: int
    rows: int
    digest: int
    damaged: int


def examine(environment: LmdbEnvironment, begun: Callable[[], None] = lambda: None) -> Examined:
    """Read all of a database, as it is when `begun` is called. Raises lmdb.Error, or what a damaged record leads to."""
    total = xxh3_64()
    rows = damaged = 0
    last = b""
    with environment.snapshot() as snapshot:
        begun()
        sequence, engine = snapshot.sequence(), snapshot.engine_rows()
        for key, value in engine:
            total.update(b"%d %d " % (len(key), len(value)) + key + value)
        damaged += not _agrees(sequence, dict(engine).get(b"redo", b""))
        for key, stored in snapshot.rows():
            if rows and key <= last:
                damaged += 1  # out of order: a page stands where another belongs, and there may be no end
                break
            last = key
            rows += 1
            try:
                version = unseal(key, stored).version
                damaged += version > sequence
            except MetadataCorrupt:
                damaged += 1
            total.update(b"%d " % len(key) + key + stored)
    return Examined(sequence, rows, total.intdigest(), damaged)


def _agrees(sequence: int, redo: bytes) -> bool:
    """Whether the changes that are kept of the last transaction are those of transaction `sequence`."""
    if not redo:
        return True
    try:
        changes = msgspec.msgpack.decode(redo, type=list[tuple[int, bytes, bytes | None]])
    except msgspec.DecodeError:
        return False
    stored = [value for _, _, value in changes if value is not None and value != STUB]
    return all(int.from_bytes(value[-TAIL_BYTES:-8], "big") == sequence for value in stored)


def tell_damaged(results: Mapping[str, Examined | None]) -> set[str]:
    """The copies, by name, that are damaged (None: reading one came to no good end), or differ from what most say."""
    bad = {name for name, found in results.items() if found is None or found.damaged}
    good = {name: found for name, found in results.items() if found is not None and name not in bad}
    for sequence in {found.sequence for found in good.values()}:
        equal = {name: found for name, found in good.items() if found.sequence == sequence}
        votes = Counter((found.digest, found.rows) for found in equal.values())
        best = max(votes, key=lambda sort: (votes[sort], sort[1]))  # of two that differ, the one that lacks nothing
        bad |= {name for name, found in equal.items() if (found.digest, found.rows) != best}
    return bad
