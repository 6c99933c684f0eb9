"""Owns the document that asks for a selection: what it may say, and the job that it becomes. Pure.

Source: AWS, "SelectObjectContent" in the Amazon S3 API Reference.
"""

from typing import NamedTuple

from pyrite.aws.xml import Element
from pyrite.core.counts import parse_count
from pyrite.query.jobs import CsvInput, CsvOutput, Job, JsonInput, JsonOutput, ParquetInput
from pyrite.s3.errors import S3Error

_COMPRESSIONS = ("NONE", "GZIP", "BZIP2", "ZSTD")


class Selection(NamedTuple):
    """What is asked for."""

    job: Job
    tells_progress: bool


def parse(root: Element, size_bytes: int, now_iso: str, loose: bool) -> Selection:
    """The job over an object of `size_bytes`. Raises S3Error."""
    if root.name not in ("SelectObjectContentRequest", "SelectRequest"):
        raise S3Error("MalformedXML")
    expression = root.find("Expression")
    if not expression:
        raise S3Error("MissingRequiredParameter", "The SQL expression is missing.")
    if root.find("ExpressionType") != "SQL":
        raise S3Error("InvalidExpressionType")
    given, wanted = _child(root, "InputSerialization"), _child(root, "OutputSerialization")
    compression = (given.find("CompressionType") or "NONE").strip().upper()
    if compression not in _COMPRESSIONS:
        raise S3Error("InvalidCompressionFormat", "The compression is one of NONE, GZIP, BZIP2 and ZSTD.")
    source = _source(given)
    if isinstance(source, ParquetInput) and compression != "NONE":
        raise S3Error("InvalidCompressionFormat", "Parquet is compressed inside; its CompressionType is NONE.")
    start, stop = _scan_range(root, source, compression, size_bytes)
    progress = next((child for child in root.children if child.name == "RequestProgress"), None)
    job = Job(expression, source, _output(wanted, loose), size_bytes, now_iso, compression, start, stop, loose)  # type: ignore[arg-type]
    return Selection(job, progress is not None and (progress.find("Enabled") or "").strip().lower() == "true")


def _child(root: Element, name: str) -> Element:
    for child in root.children:
        if child.name == name:
            return child
    raise S3Error("MissingRequiredParameter", f"{name} is missing.")


def _source(given: Element) -> CsvInput | JsonInput | ParquetInput:
    kinds = [child for child in given.children if child.name in ("CSV", "JSON", "Parquet")]
    if len(kinds) != 1:
        raise S3Error("InvalidRequestParameter", "InputSerialization is one of CSV, JSON and Parquet.")
    kind = kinds[0]
    if kind.name == "Parquet":
        return ParquetInput()
    if kind.name == "JSON":
        form = (kind.find("Type") or "").strip().upper()
        if form not in ("DOCUMENT", "LINES"):
            raise S3Error("InvalidJsonType")
        return JsonInput(form == "LINES")
    header = (kind.find("FileHeaderInfo") or "NONE").strip().upper()
    if header not in ("NONE", "USE", "IGNORE"):
        raise S3Error("InvalidFileHeaderInfo")
    return CsvInput(
        header,  # type: ignore[arg-type]
        _mark(kind, "FieldDelimiter", ","),
        _mark(kind, "RecordDelimiter", "\n", most=2),
        _mark(kind, "QuoteCharacter", '"'),
        _mark(kind, "QuoteEscapeCharacter", '"'),
        _mark(kind, "Comments", "#"),
    )


def _output(wanted: Element, loose: bool) -> CsvOutput | JsonOutput:
    kinds = [child for child in wanted.children if child.name in ("CSV", "JSON")]
    if len(kinds) != 1:
        raise S3Error("InvalidRequestParameter", "OutputSerialization is one of CSV and JSON.")
    kind = kinds[0]
    if kind.name == "JSON":
        record = _mark(kind, "RecordDelimiter", "\n", most=2)
        return CsvOutput(record=record) if loose else JsonOutput(record)
    quoting = (kind.find("QuoteFields") or "ASNEEDED").strip().upper()
    if quoting not in ("ASNEEDED", "ALWAYS"):
        raise S3Error("InvalidQuoteFields")
    return CsvOutput(
        quoting == "ALWAYS",
        _mark(kind, "FieldDelimiter", ","),
        _mark(kind, "RecordDelimiter", "\n", most=2),
        _mark(kind, "QuoteCharacter", '"'),
        _mark(kind, "QuoteEscapeCharacter", '"'),
    )


def _mark(kind: Element, name: str, default: str, most: int = 1) -> str:
    """A delimiter or a quote."""
    text = kind.find(name) or default
    if len(text) > most or "\x00" in text or (most == 1 and (text in "\r\n" or ord(text) > 127)):
        raise S3Error("InvalidRequestParameter", f"The value of {name} is not valid.")
    return text


def _straddles(source: CsvInput | JsonInput | ParquetInput) -> bool:
    """Whether records end with two bytes between which a range could begin, other than a carriage return's."""
    return isinstance(source, CsvInput) and len(source.record) == 2 and source.record != "\r\n"


def _scan_range(
    root: Element, source: CsvInput | JsonInput | ParquetInput, compression: str, size_bytes: int
) -> tuple[int, int | None]:
    asked = next((child for child in root.children if child.name == "ScanRange"), None)
    if asked is None:
        return 0, None
    if isinstance(source, ParquetInput) or compression != "NONE" or source == JsonInput(False) or _straddles(source):
        raise S3Error("UnsupportedScanRangeInput")
    texts = [text.strip() for text in (asked.find("Start"), asked.find("End")) if text is not None]
    if not texts or any(parse_count(text) is None for text in texts):
        raise S3Error("InvalidScanRange")
    start, end = (parse_count((asked.find(name) or "").strip()) for name in ("Start", "End"))
    if start is None:
        return max(size_bytes - (end or 0), 0), None
    if start >= size_bytes or (end is not None and end < start):
        raise S3Error("InvalidScanRange")
    return start, end
