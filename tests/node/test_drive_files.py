"""The small files of a drive: what was damaged is not believed."""

import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyrite.blobs.drive import DriveState
from pyrite.core.entropy import SystemEntropy
from pyrite.metadata.environment import MirrorSet
from pyrite.node import drives as identities
from pyrite.node.drives import CREDENTIALS, IDENTITY, MIRRORS
from tests.server import wait_until

STORE = "ab" * 16


@pytest.fixture
def drives(tmp_path: Path) -> list[Path]:
    """Three drives of one store."""
    paths = [tmp_path / f"d{number}" for number in range(3)]
    for path in paths:
        identities.format_drive(path, STORE, SystemEntropy())
    return paths


def flips(path: Path) -> list[bytes]:
    """The content of a file with each of its bits flipped."""
    content = path.read_bytes()
    found = []
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            found.append(bytes(changed))
    return found


def test_no_flipped_bit_of_an_identity_is_another_drive(drives: list[Path]) -> None:
    """A drive whose identity has a flipped bit is itself, or cannot be used; it is never taken for another one."""
    good = identities.inspect((drives[0],))[0].identity
    assert good is not None
    outcomes: Counter[DriveState] = Counter()
    for content in flips(drives[0] / IDENTITY):
        (drives[0] / IDENTITY).write_bytes(content)
        try:
            found = identities.inspect(tuple(drives))[0]
        except identities.ConfigError as error:
            assert "newer version" in str(error)
            continue
        outcomes[found.state] += 1
        if found.state is DriveState.ONLINE:
            assert found.identity is not None
            assert (found.identity.store, found.identity.drive) == (good.store, good.drive)
    assert outcomes[DriveState.FOREIGN] > 100


def test_no_flipped_bit_of_an_announcement_is_believed(drives: list[Path]) -> None:
    """Of the announcements of the mirrors one with a flipped bit is not the newest, and not another set."""
    mirrors = MirrorSet(7, ("one", "two"))
    identities.announce_on(drives, mirrors)
    assert identities.read_announced(drives) == mirrors
    for content in flips(drives[0] / MIRRORS):
        (drives[0] / MIRRORS).write_bytes(content)
        assert identities.read_announced(drives) == mirrors


def test_announcements_of_the_first_version_are_read(drives: list[Path]) -> None:
    """An announcement without a sum, as the first version wrote it, is read."""
    (drives[0] / MIRRORS).write_text('[3,["one"]]')
    assert identities.read_announced(drives) == MirrorSet(3, ("one",))


def test_credentials_are_what_most_drives_say(drives: list[Path]) -> None:
    """A flipped bit in one drive's copy of the generated credentials does not change them."""
    made = identities.generate_credentials(drives, SystemEntropy())
    for content in random.Random(1).sample(flips(drives[0] / CREDENTIALS), 100):
        (drives[0] / CREDENTIALS).write_bytes(content)
        assert identities.load_credentials(drives) == made


def test_what_a_drive_takes_is_counted(drives: list[Path]) -> None:
    """The bytes that files take are counted, not their length: holes do not count."""
    before = identities.used_bytes(drives[0])
    with (drives[0] / "volumes" / "sparse").open("wb") as file:
        file.truncate(1 << 24)
        file.seek(1 << 20)
        file.write(bytes(range(256)) * 4096)
    assert (1 << 20) <= identities.used_bytes(drives[0]) - before < (1 << 20) + (1 << 16)


def test_processes_that_announce_at_once(drives: list[Path]) -> None:
    """Every announcement is taken by some drive, however many come at once, and the newest is what all drives have."""
    epochs = range(1, 41)

    def announce(epoch: int) -> None:
        identities.announce_on(drives, MirrorSet(epoch, ("one", "two")))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(announce, epochs))
    for path in drives:  # one that takes long is not waited for
        wait_until(lambda path=path: identities.read_announced([path]) == MirrorSet(40, ("one", "two")))


def test_a_file_that_does_not_fit_is_not_replaced_by_a_part_of_it(tmp_path: Path) -> None:
    """Where the file system takes a part of what is written, the file stays as it was, and somebody hears of it."""
    path = tmp_path / "identity"
    path.write_bytes(b"as it was")
    program = (
        "import pathlib, resource, sys\nfrom pyrite.node.drives import write_durably\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n    write_durably(pathlib.Path(sys.argv[1]), bytes(200))\nexcept OSError:\n    sys.exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)]).returncode == 7
    assert path.read_bytes() == b"as it was"
