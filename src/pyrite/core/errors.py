"""Owns the root of the error hierarchy; each layer derives its own errors, none knows a wire code."""


class PyriteError(Exception):
    """Root of every error that Pyrite raises by meaning."""


class Unavailable(PyriteError):
    """The store cannot do this now but may later: too few drives, no space, a fenced drive."""


class OutOfSpace(Unavailable):
    """No drive that could take the write has room for it."""


class OutcomeUnknown(Unavailable):
    """Whether a change took effect cannot be told: nothing that it may have named is freed."""


class Corrupt(PyriteError):
    """Stored bytes do not match their checksum and no good copy could be found."""


class ConfigError(PyriteError):
    """What the operator asked for cannot be done; the message says what to change."""
