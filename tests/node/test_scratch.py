"""The folder of a server's processes: held while it runs, swept after it was killed."""

import os
import signal
import subprocess
import sys
import tempfile

from pyrite.node.scratch import scratch

HOLD = "from pyrite.node.scratch import scratch\nwith scratch() as folder:\n print(folder, flush=True)\n input()"


def test_folders_of_the_dead_are_removed(tmp_path, monkeypatch) -> None:
    """A folder whose process was killed is gone after the next start; one whose process lives stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    killed, left = start()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    living, held = start()
    with scratch() as own:
        assert not os.path.exists(left) and os.path.exists(held) and own.is_dir()
    assert not own.exists()
    living.communicate("\n")
    assert not os.path.exists(held)
