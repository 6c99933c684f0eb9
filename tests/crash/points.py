"""Named points of the commit path and of background work, and a `pyrite` that dies at the one that is armed.

`python -m tests.crash.points FILE serve ...` runs the real program with every point in ALL wrapped. FILE holds
three numbers that all its processes share: the point to die at (0: none), how many times to pass it first, and how
often each process has died at it.
"""

import functools
import importlib
import inspect
import mmap
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple

_FIELD = struct.Struct("<I")
_ARMED, _PASSES, _FIRED, _SIZE = 0, 4, 8, 12
_SHARD_BYTES = 4 << 20  # volumes this small are created and sealed all the time
_SEGMENT_BYTES = 64 << 10
_WASTE_BYTES = 2 << 10  # a page with one tiny object in it is worth moving
_SOON_MS = 300


class Point(NamedTuple):
    """Where to die: before or after a call, or with half of a write done. `drives` is the fewest that pass it."""

    name: str
    module: str
    function: str
    moment: str
    drives: int = 1


POINTS = (
    Point("volume registered, no file yet", "pyrite.blobs.local", "LocalDrive.create", "before"),
    Point("volume file created", "pyrite.blobs.local", "LocalDrive.create", "after"),
    Point("volume opened", "pyrite.blobs.volumes", "Volumes._create", "after"),
    Point("volume about to be sealed", "pyrite.blobs.volumes", "Volumes.seal", "before"),
    Point("volume sealed", "pyrite.blobs.volumes", "Volumes.seal", "after"),
    Point("bytes about to be written", "pyrite.blobs.local", "_write_all", "before"),
    Point("bytes half written", "pyrite.blobs.local", "_write_all", "half"),
    Point("bytes written, not synced", "pyrite.blobs.local", "LocalDrive.sync", "before"),
    Point("bytes synced", "pyrite.blobs.local", "LocalDrive.sync", "after"),
    Point("group's bytes durable on all drives", "pyrite.blobs.openvolume", "OpenVolume.flush", "after"),
    Point("large blob durable, not named", "pyrite.blobs.writer", "BlobWriter.finish", "after"),
    Point("writer's lock taken", "pyrite.metadata.environment", "LmdbEnvironment.begin", "after"),
    Point("names applied, not committed", "pyrite.metadata.applying", "Applier.finish", "after"),
    Point("mirrors about to prepare", "pyrite.metadata.mirror", "Mirror._prepare", "before", 2),
    Point("a mirror prepared", "pyrite.metadata.mirror", "Mirror._prepare", "after", 2),
    Point("a mirror about to commit", "pyrite.metadata.mirror", "Mirror._commit", "before", 2),
    Point("a mirror committed, the first not", "pyrite.metadata.mirror", "Mirror._commit", "after", 2),
    Point("about to bring mirrors together", "pyrite.metadata.mirroring", "MirroredCommitter._reconcile", "before", 2),
    Point("mirror about to replay", "pyrite.metadata.mirroring", "MirroredCommitter._replay", "before", 2),
    Point("mirror replayed", "pyrite.metadata.mirroring", "MirroredCommitter._replay", "after", 2),
    Point("transaction stamped", "pyrite.metadata.environment", "WriteTransaction.finish", "after"),
    Point("names about to commit", "pyrite.metadata.environment", "WriteTransaction.commit", "before"),
    Point("names committed, nobody told", "pyrite.metadata.environment", "WriteTransaction.commit", "after"),
    Point("group committed, not answered", "pyrite.core.groupcommit", "GroupCommit._finish", "before"),
    Point("part about to be named", "pyrite.objects.uploads", "Uploads._name_part", "before"),
    Point("upload completed, not answered", "pyrite.objects.uploads", "Uploads.complete", "after"),
    Point("garbage about to be punched", "pyrite.blobs.local", "LocalDrive.punch", "before"),
    Point("garbage punched, still recorded", "pyrite.blobs.local", "LocalDrive.punch", "after"),
)
BACKGROUND = (
    Point("repair has read, not written", "pyrite.blobs.mending", "Mender._write", "before", 4),
    Point("repair written, not synced", "pyrite.blobs.mending", "Mender._settle", "before", 4),
    Point("repair synced and verified", "pyrite.blobs.mending", "Mender._settle", "after", 4),
    Point("repair about to conclude", "pyrite.services.repair", "Repairer._conclude", "before", 4),
    Point("repair concluded", "pyrite.services.repair", "Repairer._conclude", "after", 4),
    Point("volume about to be removed", "pyrite.services.compact", "Compactor._remove", "before"),
    Point("volume removed, files still there", "pyrite.services.compact", "Compactor._remove", "after"),
    Point("gaps about to be punched", "pyrite.services.compact", "_punch", "before"),
    Point("gaps punched", "pyrite.services.compact", "_punch", "after"),
    Point("live bytes moved, not named", "pyrite.services.compact", "Compactor._conclude", "before"),
    Point("live bytes named anew", "pyrite.services.compact", "Compactor._conclude", "after"),
    Point("pages of an upload forgotten", "pyrite.services.reaper", "Reaper._forget_pages", "after"),
    Point("dump about to be taken", "pyrite.node.dumping", "Dumper._take", "before"),
    Point("dump durable, older ones still there", "pyrite.node.dumping", "superfluous", "before"),
    Point("dump taken", "pyrite.node.dumping", "Dumper._take", "after"),
    Point("mirror about to be given up", "pyrite.metadata.mirroring", "MirroredCommitter._drop", "before", 4),
    Point("mirror given up", "pyrite.metadata.mirroring", "MirroredCommitter._drop", "after", 4),
    Point("mirror copied, not taken in", "pyrite.node.mirrors", "MirrorKeeper._copy", "after", 4),
    Point("mirror announced, not told", "pyrite.metadata.mirroring", "MirroredCommitter._tell", "before", 4),
    Point("mirror taken in", "pyrite.metadata.mirroring", "MirroredCommitter.enlist", "after", 4),
)
ALL = POINTS + BACKGROUND


class Trigger:
    """The state in FILE, shared through memory with every process of the server."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)

    def _get(self, field: int) -> int:
        return int(_FIELD.unpack_from(self._map, field)[0])

    def _set(self, field: int, value: int) -> None:
        _FIELD.pack_into(self._map, field, value)

    def arm(self, point: Point, passes: int = 0) -> None:
        """Have the next process that comes to `point` for the time after `passes` die there."""
        self._set(_PASSES, passes)
        self._set(_ARMED, ALL.index(point) + 1)

    def disarm(self) -> None:
        """Let everybody pass."""
        self._set(_ARMED, 0)

    @property
    def fired(self) -> int:
        """How many processes have died at a point."""
        return self._get(_FIRED)

    def reached(self, number: int) -> bool:
        """Whether to die now. Each field is written apart, so that a race costs a pass and not a count."""
        if self._get(_ARMED) != number:
            return False
        passes = self._get(_PASSES)
        if passes:
            self._set(_PASSES, passes - 1)
            return False
        self._set(_ARMED, 0)
        self._set(_FIRED, self.fired + 1)
        return True


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wrapped(function: Any, moment: str, number: int, trigger: Trigger) -> Any:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            if moment == "before" and trigger.reached(number):
                _die()
            result = await function(*args, **kwargs)
            if moment == "after" and trigger.reached(number):
                _die()
            return result

        return run_async

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if moment == "before" and trigger.reached(number):
            _die()
        if moment == "half" and trigger.reached(number):
            descriptor, offset, buffers = args
            whole = b"".join(buffers)
            os.pwrite(descriptor, whole[: len(whole) // 2], offset)
            _die()
        result = function(*args, **kwargs)
        if moment == "after" and trigger.reached(number):
            _die()
        return result

    return run


def install(trigger: Trigger) -> None:
    """Wrap every point."""
    for index, point in enumerate(ALL):
        owner: Any = importlib.import_module(point.module)
        *path, name = point.function.split(".")
        for step in path:
            owner = getattr(owner, step)
        setattr(owner, name, _wrapped(getattr(owner, name), point.moment, index + 1, trigger))


def main() -> None:
    """Run `pyrite` with the points wrapped, volumes that fill quickly, and background work that waits for little."""
    from pyrite.blobs import drivelog
    from pyrite.blobs.volumes import Volumes
    from pyrite.cli.main import main as pyrite
    from pyrite.node import dumping, restarts
    from pyrite.services import compact, reaper, repair

    drivelog.SEGMENT_BYTES = dumping.SEGMENT_BYTES = _SEGMENT_BYTES
    repair.SETTLED_AFTER_MS = compact.SETTLED_AFTER_MS = repair.RETRY_MS = reaper.GRACE_MS = _SOON_MS
    compact.Compactor.__init__.__defaults__ = (_WASTE_BYTES, _SOON_MS)
    reaper.Reaper.__init__.__defaults__ = (_SOON_MS,)
    restarts.PAUSE_MAX_S = restarts.PAUSE_S  # here processes die early all the time

    original = Volumes.__init__

    def small(self: Volumes, *args: Any) -> None:
        original(self, *args[:5], _SHARD_BYTES)

    Volumes.__init__ = small  # type: ignore[method-assign,assignment]
    install(Trigger(Path(sys.argv.pop(1))))
    pyrite()


if __name__ == "__main__":
    main()
