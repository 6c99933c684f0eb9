"""Owns byte units and their spelling; holds no limits, those stand beside what they limit."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

_SUFFIXES = {"": 1, "B": 1, "K": KIB, "M": MIB, "G": GIB, "T": TIB}
_SUFFIXES |= {"KIB": KIB, "MIB": MIB, "GIB": GIB, "TIB": TIB}


def parse_size(text: str) -> int:
    """Bytes that `text` names, such as `64MiB`, `2G` or `4096`.

    Raises ValueError for anything that is not a number with one of the binary suffixes.
    """
    digits = text.strip().rstrip("BKMGTIbkmgti")
    suffix = text.strip()[len(digits) :].upper()
    if suffix not in _SUFFIXES or not digits:
        raise ValueError(f"not a size: {text!r} (write 4096, 64MiB or 2GiB)")
    return int(float(digits) * _SUFFIXES[suffix])


def format_size(size_bytes: float) -> str:
    """A short reading of `size_bytes` with a binary suffix: `1.5 GiB`."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(size_bytes) >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{int(size_bytes)} B"
