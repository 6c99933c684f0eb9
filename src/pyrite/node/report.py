"""Owns what `pyrite check` tells: how much it saw, and what is wrong."""

import msgspec

_FINDINGS_MAX = 200


class Report(msgspec.Struct):
    """What a check found. `errors` are losses or contradictions, `notes` are worth knowing."""

    buckets: int = 0
    objects: int = 0
    object_bytes: int = 0
    uploads: int = 0
    volumes: int = 0
    fragments: int = 0
    damaged_fragments: int = 0
    missing_fragments: int = 0
    unreadable_stripes: int = 0
    garbage: int = 0
    errors: list[str] = []
    notes: list[str] = []

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.errors

    def error(self, text: str) -> None:
        """Note something wrong; beyond a limit only that there is more."""
        if len(self.errors) < _FINDINGS_MAX:
            self.errors.append(text)
        elif len(self.errors) == _FINDINGS_MAX:
            self.errors.append("and more")
