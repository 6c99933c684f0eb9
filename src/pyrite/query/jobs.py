"""Owns what a query is: the expression, how its input is written, how its output is to be, and its limits. Pure."""

from typing import Literal

import msgspec

EXPRESSION_MAX_BYTES = 256 * 1024
RECORD_MAX_BYTES = 1 << 20
FIELDS_MAX = 4096
DOCUMENT_MAX_BYTES = 16 << 20
MEMORY_MAX_BYTES = 256 << 20
CPU_MAX_S = 600


class CsvInput(msgspec.Struct, tag="csv", frozen=True):
    """CSV as it is read. Source: AWS, "CSVInput" in the Amazon S3 API Reference."""

    header: Literal["NONE", "USE", "IGNORE"] = "NONE"
    field: str = ","
    record: str = "\n"
    quote: str = '"'
    escape: str = '"'
    comment: str = "#"


class JsonInput(msgspec.Struct, tag="json", frozen=True):
    """JSON as it is read: one value on each line, or documents one after the other."""

    lines: bool = True


class ParquetInput(msgspec.Struct, tag="parquet", frozen=True):
    """Parquet."""


class CsvOutput(msgspec.Struct, tag="csv", frozen=True):
    """CSV as it is written."""

    quote_always: bool = False
    field: str = ","
    record: str = "\n"
    quote: str = '"'
    escape: str = '"'


class JsonOutput(msgspec.Struct, tag="json", frozen=True):
    """JSON as it is written: an object for each record."""

    record: str = "\n"


class Job(msgspec.Struct, frozen=True):
    """A query. `start` and `stop` are the bytes in which its records begin; `loose` takes Ceph's dialect too."""

    expression: str
    source: CsvInput | JsonInput | ParquetInput
    output: CsvOutput | JsonOutput
    size_bytes: int
    now_iso: str
    compression: Literal["NONE", "GZIP", "BZIP2", "ZSTD"] = "NONE"
    start: int = 0
    stop: int | None = None
    loose: bool = False
    memory_bytes: int = MEMORY_MAX_BYTES


class Counts(msgspec.Struct, frozen=True):
    """How far a query is, in bytes: read from the object, seen after decompression, given back."""

    scanned: int = 0
    processed: int = 0
    returned: int = 0


class QueryFailure(Exception):
    """A query cannot be answered. `code` is S3 Select's; it crosses the pipe between the processes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
