"""Owns telling what changes in an identity: from what to what, and documents line by line. Pure."""

import difflib
import json
from collections.abc import Iterator, Mapping

SHOWN_MAX_CHARS = 100


def differences(name: str, old: object, new: object) -> Iterator[str]:
    """Lines that tell how a field has changed; none where both are the same."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from differences(f"{name}.{key}", old.get(key, ""), new.get(key, ""))
    elif isinstance(old, tuple) and isinstance(new, tuple):
        yield from (f"    - {name}: {_shown(one)}" for one in old if one not in new)
        yield from (f"    + {name}: {_shown(one)}" for one in new if one not in old)
    elif _is_document(old) or _is_document(new):
        yield f"    {name}:"
        changed = difflib.unified_diff(_lines(old), _lines(new), n=1, lineterm="")
        yield from (f"      {line}" for line in changed if not line.startswith(("---", "+++", "@@")))
    else:
        yield f"    {name}: {_shown(old)} -> {_shown(new)}"


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= SHOWN_MAX_CHARS else text[: SHOWN_MAX_CHARS - 3] + "..."


def _is_document(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("{")


def _lines(value: object) -> list[str]:
    try:
        return json.dumps(json.loads(str(value)), indent=2, ensure_ascii=False).splitlines() if value else []
    except ValueError:
        return str(value).splitlines()
