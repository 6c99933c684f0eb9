"""Owns the census: which extents of which volumes are named, taken from the names themselves.

A census needs no index and costs a write nothing. It is complete although writers go on: a name that changes after
its row was read has been counted, and one that changes before leaves a row that is read later: objects become versions
or garbage, versions garbage (also where they become objects again, as where objects get another key), and garbage is
read last and is not freed while the census is under way. So every extent that was live at any time during the census
is in it; beside them there may be some that died. What was being written then, and had no name yet, is not: callers
look only at volumes that were sealed before the oldest write under way began.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from pyrite.blobs.layout import Extent
from pyrite.blobs.mending import slots
from pyrite.blobs.tiers import is_tiered
from pyrite.blobs.volume import VolumeRecord
from pyrite.metadata.keyspaces import ANNOTATIONS, GARBAGE, OBJECTS, PAGES, PARTS, VERSIONS
from pyrite.metadata.kv import Engine, Row, after_prefix, decode_counter
from pyrite.objects import keys
from pyrite.objects.records import decode_garbage, decode_object, decode_page, decode_part
from pyrite.objects.standing import blob_id
from pyrite.objects.underway import UnderWay

_SCAN_ROWS = 500


class Census(NamedTuple):
    """The extents of each volume in order of offset, and when the census began."""

    extents: dict[int, list[Extent]]
    began_ms: int


class Holding(NamedTuple):
    """A row that names extents of a volume that was asked for."""

    row: Row
    extents: tuple[Extent, ...]


async def take_census(
    engine: Engine,
    under_way: UnderWay,
    now_ms: int,
    volumes: Collection[int] | None,
    on_holding: Callable[[Holding], None] | None = None,
) -> Census:
    """Count the live extents of `volumes` (None: of all). `on_holding` is told of every row that names any."""
    token = under_way.enter()
    found: dict[int, set[Extent]] = defaultdict(set)
    try:
        for space in (OBJECTS, VERSIONS, PARTS, PAGES, ANNOTATIONS, GARBAGE):  # the order matters: see above
            start, end = space, after_prefix(space)
            while rows := await engine.scan(start, end, _SCAN_ROWS):
                for row in rows:
                    mine = tuple(e for e in extents_of(row) if _is_asked_for(e, volumes))
                    for extent in mine:
                        found[extent.volume].add(extent)
                    if mine and on_holding is not None:
                        on_holding(Holding(row, mine))
                if len(rows) < _SCAN_ROWS:
                    break
                start = rows[-1].key + b"\0"
                await asyncio.sleep(0)
    finally:
        under_way.leave(token)
    ordered = {volume: sorted(extents, key=lambda extent: extent.offset) for volume, extents in found.items()}
    return Census(ordered, now_ms)


def _is_asked_for(extent: Extent, volumes: Collection[int] | None) -> bool:
    return extent.volume in volumes if volumes is not None else not is_tiered(extent.volume)


async def still_named(engine: Engine, under_way: UnderWay, record: VolumeRecord, offsets: Collection[int]) -> set[int]:
    """Which of `offsets`, where stripes of the volume stand, belong to something that has a name now.

    What a census found may have died and been freed since; whoever misses its bytes asks this first.
    """
    named: set[Extent] = set()
    given_up: list[Holding] = []

    def note(holding: Holding) -> None:
        if holding.row.key[:1] != GARBAGE:
            named.update(holding.extents)
        else:
            given_up.append(holding)

    await take_census(engine, under_way, 0, {record.id}, note)
    for holding in given_up:  # a name that moved back meanwhile is found here alone: its bytes have another reference
        entry = await engine.get(keys.references(blob_id(decode_garbage(holding.row.value))))
        if decode_counter(entry.value if entry is not None else None) > 0:
            named.update(holding.extents)
    return {slot.offset for slot in slots(record.layout, named)} & set(offsets)


def extents_of(row: Row) -> Iterator[Extent]:
    """The extents that a row of objects, versions, parts, pages, annotations or garbage names."""
    space = row.key[:1]
    if space in (OBJECTS, VERSIONS):
        yield from decode_object(row.value).extents
    elif space in (PARTS, ANNOTATIONS):
        yield from decode_part(row.value).extents
    elif space == PAGES:
        for part in decode_page(row.value).parts:
            yield from part.extents
    elif space == GARBAGE:
        yield from decode_garbage(row.value).extents
