"""The tidy rules: what keeps a code base findable, checked on every run. `python -m tests.tidy` lists what breaks them."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES_MAX = 350
FUNCTION_LINES_MAX = 60
BANNED_NAMES = frozenset("utils util common helpers helper manager managers base misc".split())
BANNED_WORDS = re.compile(r"\b(TODO|FIXME|XXX)\b")
ROOT = Path(__file__).parent.parent


def tracked(pattern: str) -> list[Path]:
    """Files that git knows, or would know."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).exists()]


def findings(path: Path) -> Iterator[str]:
    """What breaks a rule in one Python file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    name = path.relative_to(ROOT)
    in_source = "src" in name.parts
    if not ast.get_docstring(tree) and text.strip():
        yield f"{name}: no module docstring"
    if path.stem in BANNED_NAMES:
        yield f"{name}: a name that says nothing"
    if in_source and name.name != "counts.py" and re.search(r"\.is(digit|decimal|numeric)\(", text):
        yield f"{name}: a count is parsed by core/counts.py"
    if BANNED_WORDS.search(text) and path != Path(__file__):
        yield f"{name}: unfinished business"
    if in_source and text.count("\n") > FILE_LINES_MAX:
        yield f"{name}: {text.count(chr(10))} lines, at most {FILE_LINES_MAX}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or 0) - node.lineno + 1
        if in_source and length > FUNCTION_LINES_MAX:
            yield f"{name}:{node.name}: {length} lines, at most {FUNCTION_LINES_MAX}"
        if node.name.startswith("test_") and not ast.get_docstring(node):
            yield f"{name}:{node.name}: a test without a sentence on what it shows"
    if path.name.startswith("test_") and re.search(r"\btime\.sleep\(", text):
        yield f"{name}: a test that sleeps"
    # Tests run in several processes have to be the same in each: parameters that hold the time of import are not.
    if path.name.startswith("test_") and re.search(r"^[A-Z_]+ = .*\btime\.time\(", text, re.MULTILINE):
        yield f"{name}: a test that depends on when it was imported"


def main() -> int:
    """Print findings; 1 when there are any."""
    found = [
        line for pattern in ("src/*.py", "tests/*.py", "bench/*.py") for p in tracked(pattern) for line in findings(p)
    ]
    print("\n".join(found) if found else "tidy")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
