"""Owns the comparison of the copies of the names, for `pyrite check`."""

from pathlib import Path

from pyrite.metadata.environment import LmdbEnvironment
from pyrite.metadata.kv import MetadataCorrupt
from pyrite.node.drives import METADATA
from pyrite.node.offline import Located
from pyrite.node.report import Report

_PAGE_ROWS = 1000


def check_mirrors(located: Located, report: Report) -> None:
    """Every mirror holds the same rows; one that is behind is brought up at the next start."""
    truth = _fingerprint(located.metadata, report)
    for name in located.announced.members:
        if name == located.source:
            continue
        if name not in located.places:
            report.notes.append(f"the metadata mirror on drive {name} is missing")
            continue
        other = _fingerprint(located.places[name] / METADATA, report)
        if other[0] != truth[0]:
            report.notes.append(f"the metadata mirror on drive {name} is behind and will be brought up")
        elif other != truth:
            report.error(f"the metadata mirror on drive {name} differs from the others")


def _fingerprint(path: Path, report: Report) -> tuple[int, int, int]:
    """The sequence number of a mirror, how many rows it has, and a hash over all of them."""
    environment = LmdbEnvironment(path)
    try:
        sequence = environment.read_state()[0]
        count = digest = 0
        start = b"\0"
        while True:
            try:
                rows = environment.scan(start, b"\xff" * 8, _PAGE_ROWS, False)
            except MetadataCorrupt as error:
                report.error(f"the metadata mirror at {path} is damaged: {error}")
                return sequence, count, digest
            for row in rows:
                digest = hash((digest, row.key, row.value, row.version))
            count += len(rows)
            if len(rows) < _PAGE_ROWS:
                return sequence, count, digest
            start = rows[-1].key + b"\0"
    finally:
        environment.close()
