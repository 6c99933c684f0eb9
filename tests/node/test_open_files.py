"""How many files, and so connections, the processes of a server may have open."""

import resource
import sys
from pathlib import Path

from tests.server import PYRITE, Server

START = (
    "import os, resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2048))\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def test_a_server_takes_as_many_open_files_as_it_may(tmp_path: Path) -> None:
    """Each of its processes raises the limit to the hard one, whatever shell it was started from."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 2048
    with Server([tmp_path / "d"], "--workers", "2", command=(sys.executable, "-c", START, PYRITE)) as server:
        assert server.process is not None
        limits = [Path(f"/proc/{pid}/limits").read_text() for pid in (server.process.pid, *server.children())]
    assert len(limits) == 4
    for text in limits:
        (line,) = [line for line in text.splitlines() if line.startswith("Max open files")]
        assert line.split()[3:5] == ["2048", "2048"]
