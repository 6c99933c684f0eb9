"""The engines against the contract."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrite.metadata.environment import LmdbEnvironment, MirrorSet
from pyrite.metadata.kv import Engine
from pyrite.metadata.lmdb import LmdbEngine
from pyrite.metadata.memory import MemoryEngine
from pyrite.metadata.mirror import Mirror
from tests.metadata.contract import EngineContract


class TestMemoryEngine(EngineContract):
    async def make(self) -> Engine:
        return MemoryEngine()


class _LmdbContract(EngineContract):
    mirrors = 1

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> Iterator[None]:
        self.folders = (tmp_path / str(number) for number in itertools.count())
        yield

    async def make(self) -> Engine:
        mirrors = []
        for number in range(self.mirrors):
            folder = next(self.folders)
            folder.mkdir()
            mirrors.append(Mirror(f"drive{number}", LmdbEnvironment(folder, create=True)))
        return LmdbEngine(mirrors, MirrorSet(1, tuple(mirror.name for mirror in mirrors)), lambda _: None)


class TestLmdbEngine(_LmdbContract):
    pass


class TestLmdbEngineMirrored(_LmdbContract):
    mirrors = 3


del EngineContract, _LmdbContract
