"""Runs Ceph's s3-tests, an independent suite that is kept elsewhere, against a fresh store; prints its score.

`python -m tests.conformance.s3tests RUN SRC PY [LIST]`: RUN is the runner's script, which takes a port and a folder, SRC
a checkout of the suite, PY a Python that has what the suite needs, LIST a file of test ids. S3T_OUT keeps the results.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.server import Server

IDENTITIES = Path(__file__).with_name("s3tests.toml")
OPTIONS = ("--compat", "s3tests", "--outbound", "127.0.0.0/8", "--outbound", "::1/128")


TIMES = {"PYRITE_LIFECYCLE_DAY_S": os.environ.get("S3T_LC", "10"), "PYRITE_LOG_ROLL_S": "3"}


def main(run: str, source: str, python: str, listed: str = "") -> int:
    """Start a store with the suite's identities and run the suite; the runner's exit code."""
    variables = {**os.environ, "S3T_SRC": source, "S3T_PY": python, **({"S3T_LIST": listed} if listed else {})}
    with tempfile.TemporaryDirectory(prefix="s3tests-") as folder:
        keyring = str(Path(folder) / "keyring")
        server = Server(
            [Path(folder) / "drive"],
            *OPTIONS,
            "--identities",
            str(IDENTITIES),
            "--keyring",
            keyring,
            environment=TIMES,
        )
        with server:
            out = os.environ.get("S3T_OUT") or str(Path(folder) / "out")
            return subprocess.run([run, str(server.port), out], env=variables).returncode


if __name__ == "__main__":
    if len(sys.argv) < 4 or not all(sys.argv[1:4]):
        sys.exit("usage: make s3tests S3T_RUN=runner S3T_SRC=checkout S3T_PY=python")
    sys.exit(main(*sys.argv[1:]))
