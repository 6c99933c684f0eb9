"""What a confined process cannot do: each attempt is made by a real process that has given up its rights."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pyrite.core.confine import all_but, landlock_version

SETUP = "from pyrite.core.confine import all_but, confine, libraries\nimport os, socket, subprocess, sys, ctypes\n"
ALONE = "confined = confine(libraries(), alone=True)\n"

FORBIDDEN = {
    "reads a file": "open(sys.argv[1]).read()",
    "lists a folder": "os.listdir(os.path.dirname(sys.argv[1]))",
    "writes a file": "open(sys.argv[1], 'w')",
    "makes it everybody's": "os.chmod(sys.argv[1], 0o777)",
    "changes its times": "os.utime(sys.argv[1])",
    "labels it": "os.setxattr(sys.argv[1], 'user.a', b'b')",
    "connects": "socket.create_connection(('127.0.0.1', 9))",
    "opens a socket": "socket.socket(socket.AF_UNIX)",
    "signals its parent": "os.kill(os.getppid(), 0)",
    "starts a program": "subprocess.run(['/bin/true'])",
    "leaves its namespaces": "assert ctypes.CDLL(None, use_errno=True).unshare(0x10000000) == 0, ctypes.get_errno()",
}


def run(program: str, path: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-I", "-c", SETUP + program, str(path)], capture_output=True)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_query_cannot(what: str, tmp_path: Path) -> None:
    """Each of these fails in the process of a query, and works without its confinement."""
    if landlock_version() < 6:
        pytest.skip("the kernel has no Landlock of version 6")
    path = tmp_path / "secret"
    path.write_text("secret")
    done = run(
        f"{ALONE}assert all(confined), confined\ntry:\n    {FORBIDDEN[what]}\nexcept (OSError, AssertionError):\n    sys.exit(7)",
        path,
    )
    assert done.returncode == 7, (what, done.stderr)
    free = run(FORBIDDEN[what], path)
    harmless = {"connects", "leaves its namespaces", "labels it"}  # they may fail for reasons of the machine
    assert free.returncode == 0 or what in harmless, free.stderr


def test_a_confined_process_may_abort(tmp_path: Path) -> None:
    """A crash of a library ends the process, as it does without confinement."""
    assert run(f"{ALONE}os.abort()", tmp_path).returncode == -signal.SIGABRT


def test_a_function_reads_all_but_the_store(tmp_path: Path) -> None:
    """The store's folders are hidden, those beside them are not, and it may use the network."""
    hidden, shown = tmp_path / "drive", tmp_path / "models"
    for folder in (hidden, shown):
        folder.mkdir()
        (folder / "file").write_text("text")
    allowed = all_but([str(hidden)])
    assert str(shown) in allowed
    assert not any(Path(path) in (hidden, *hidden.parents) for path in allowed)
    if landlock_version() < 1:
        pytest.skip("the kernel has no Landlock")
    program = f"confine(all_but([{str(hidden)!r}]))\nopen({str(shown / 'file')!r}).read()\nsocket.socket()\n"
    assert run(program, tmp_path).returncode == 0
    done = run(
        program + f"try:\n    open({str(hidden / 'file')!r})\nexcept PermissionError:\n    sys.exit(7)", tmp_path
    )
    assert done.returncode == 7


def test_a_function_signals_nobody_outside(tmp_path: Path) -> None:
    """A function, which may use files and the network, still cannot signal the server that runs it."""
    if landlock_version() < 6:
        pytest.skip("the kernel has no Landlock of version 6")
    signals = "os.kill(os.getppid(), 0)"
    done = run(f"assert confine(all_but([]))\ntry:\n    {signals}\nexcept PermissionError:\n    sys.exit(7)", tmp_path)
    assert done.returncode == 7, done.stderr
    assert run(signals, tmp_path).returncode == 0
