"""Objects that meet a drive that is full, or fails, at the last moment, go to another volume."""

import pytest

from pyrite.blobs.drive import DriveError, DriveFull
from pyrite.objects.buckets import Bucket
from pyrite.testing.disks import SimDrive
from pyrite.testing.world import Process
from tests.objects.meddling import Meddled, get, put


@pytest.mark.parametrize("error", [DriveFull("full"), DriveError("failed")], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("size", [1000, 300_000])
def test_an_object_goes_on_in_another_volume(monkeypatch: pytest.MonkeyPatch, error: Exception, size: int) -> None:
    """Its bytes go to another volume, and the bucket counts the object and its size once."""
    store = Meddled()
    refused: list[str] = []
    write = SimDrive.write

    def refuse_once(drive: SimDrive, name: str, *given: object) -> None:
        if not refused:
            refused.append(name)
            raise error
        write(drive, name, *given)  # type: ignore[arg-type]

    async def body(process: Process, bucket: Bucket) -> None:
        await put(process, bucket, b"before", b"y" * size)
        monkeypatch.setattr(SimDrive, "write", refuse_once)
        await put(process, bucket, b"k", b"x" * size)
        monkeypatch.undo()
        assert refused
        assert await get(process, bucket, b"k") == b"x" * size
        usage = await process.buckets.usage(bucket.id)
        assert (usage.objects, usage.size_bytes) == (2, 2 * size)

    store.run(body)
