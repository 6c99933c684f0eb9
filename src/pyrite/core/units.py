"""Owns byte units and their spelling; holds no limits, those stand beside what they limit."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB


def format_size(size_bytes: float) -> str:
    """A short reading of `size_bytes` with a binary suffix: `1.5 GiB`."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(size_bytes) >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{int(size_bytes)} B"
