"""Owns planting bugs: each is one replacement in a copy of the source, and the tests that must notice it.

The catalogue stands in the TOML files of this folder. One bug by hand: `python -m tests.mutants.planting NAME`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SIMULATION = "tests/simulation"
TIMEOUT_S = 240


class Mutant(NamedTuple):
    """A bug: in `file` (below src/pyrite) `old`, which stands there once, becomes `new`; `killer` then fails."""

    name: str
    file: str
    old: str
    new: str
    killer: str = SIMULATION


def catalogue() -> list[Mutant]:
    """Every bug that is known how to plant."""
    found = []
    for path in sorted(HERE.glob("*.toml")):
        found += [Mutant(name, **fields) for name, fields in tomllib.loads(path.read_text()).items()]
    return found


def planted(mutant: Mutant) -> str:
    """The text of the mutant's file with the bug in it. Raises ValueError when it does not fit the source."""
    text = (ROOT / "src" / "pyrite" / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: stands {text.count(mutant.old)} times in {mutant.file}: {mutant.old!r}")
    return text.replace(mutant.old, mutant.new)


def _python_with(source: Path, folder: Path) -> Path:
    """An interpreter that finds `source` before the installed package, isolated children (`-I`) of tests too.

    `folder` becomes a virtual environment beside the one that runs, whose packages and commands it shares.
    """
    own = Path(sys.prefix)
    site = folder / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    site.mkdir(parents=True)
    (folder / "bin").mkdir()
    shutil.copy(own / "pyvenv.cfg", folder)
    for one in (own / "bin").iterdir():
        place = folder / "bin" / one.name
        if one.name == "pyrite":
            place.write_text(one.read_text().replace(str(own), str(folder)))
            place.chmod(0o755)
        else:
            place.symlink_to(one.resolve() if one.name.startswith("python") else one)
    packages = own / site.relative_to(folder)
    (site / "planted.pth").write_text(f"{source}\nimport site; site.addsitedir({str(packages)!r})\n")
    return folder / "bin" / "python"


def _ends(python: Path, killer: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *killer.split()]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, timeout=TIMEOUT_S)


def survives(mutant: Mutant) -> bool:
    """Whether the tests that should notice the bug do not. A run that never ends has noticed it."""
    with tempfile.TemporaryDirectory(prefix="pyrite-mutant-") as name:
        folder = Path(name)
        source = folder / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        (source / "pyrite" / mutant.file).write_text(planted(mutant))
        try:
            done = _ends(_python_with(source, folder / "environment"), mutant.killer, ROOT)
        except subprocess.TimeoutExpired:
            return False
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{mutant.name}: pytest could not run {mutant.killer}: {done.stdout.decode()[-2000:]}")
    return done.returncode == 0


if __name__ == "__main__":
    for wanted in [mutant for mutant in catalogue() if sys.argv[1] in mutant.name]:
        print("survives" if survives(wanted) else "is found", wanted.name)
