"""Pyrite: an S3-compatible object store. Start reading in ARCHITECTURE.md."""

__version__ = "0.1.0"
