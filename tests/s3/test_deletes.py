"""The deletion of many keys, which decides about each of them and keeps nobody waiting meanwhile."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pyrite.core import turns
from pyrite.core.turns import Turns
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import BucketRecord
from pyrite.s3.handlers import deletes

KEYS = 1000


def test_others_go_on_while_a_thousand_deletions_are_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions, which may be costly, are made in slices: everything else on the loop has its turn between them."""
    monkeypatch.setattr(turns, "SLICE_S", 0.0)
    decided: list[bytes] = []
    seen: set[int] = set()

    async def require(_request: object, _action: str, _bucket: Bucket, key: bytes, version: object) -> None:
        decided.append(key)

    async def done(*_: object) -> str:
        return ""

    async def other() -> None:
        while len(decided) < KEYS:
            seen.add(len(decided))
            await asyncio.sleep(0)

    async def main() -> None:
        monkeypatch.setattr(deletes, "_delete_one", done)
        objects = "".join(f"<Object><Key>k{number}</Key></Object>" for number in range(KEYS))
        request: Any = SimpleNamespace(
            bucket=Bucket(1, BucketRecord(1, 1, "b", "me", 0), 1),
            header=lambda _: None,
            document=f"<Delete>{objects}</Delete>".encode(),
        )
        service: Any = SimpleNamespace(access=SimpleNamespace(require=require), turns=Turns())
        deleting = asyncio.ensure_future(deletes.delete_objects(service, request))
        await other()
        assert (await deleting).status == 200

    asyncio.run(main())
    assert len(decided) == KEYS == len(set(decided))
    assert len(seen) > KEYS // 2
