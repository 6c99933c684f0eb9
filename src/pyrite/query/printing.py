"""Owns how rows are written: CSV with quotes as needed, or an object of JSON for each. Pure."""

import csv
import io
from collections.abc import Callable, Sequence

import msgspec

from pyrite.query.jobs import CsvOutput, JsonOutput

Row = Sequence[str | None]
Printer = Callable[[Sequence[Row]], bytes]


def printer(output: CsvOutput | JsonOutput, names: list[str], whole: bool) -> Printer:
    """What turns rows into bytes. `whole` rows are records of JSON."""
    if isinstance(output, CsvOutput):
        return _csv_of_records(output) if whole else _csv(output)
    end = output.record
    if whole:
        return lambda rows: "".join(f"{_as_object(row[0] or 'null')}{end}" for row in rows).encode()
    keys = [msgspec.json.encode(name).decode() for name in names]

    def objects(rows: Sequence[Row]) -> bytes:
        lines = []
        for row in rows:
            members = ",".join(f"{key}:{value}" for key, value in zip(keys, row, strict=True) if value is not None)
            lines.append(f"{{{members}}}{end}")
        return "".join(lines).encode()

    return objects


def _as_object(record: str) -> str:
    """A record of JSON, which is an object; what is none is the only field of one."""
    return record if record.startswith("{") else f'{{"_1":{record}}}'


def _csv(output: CsvOutput) -> Printer:
    doubled = output.escape == output.quote or not output.escape

    def lines(rows: Sequence[Row]) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(
            text,
            delimiter=output.field,
            lineterminator=output.record,
            quotechar=output.quote,
            doublequote=doubled,
            escapechar=None if doubled else output.escape,
            quoting=csv.QUOTE_ALL if output.quote_always else csv.QUOTE_MINIMAL,
        )
        writer.writerows(rows)
        return text.getvalue().encode()

    return lines


def _csv_of_records(output: CsvOutput) -> Printer:
    """Records of JSON as CSV: the values of an object, in their order."""
    write = _csv(output)

    def lines(rows: Sequence[Row]) -> bytes:
        return write([_fields(row[0] or "null") for row in rows])

    return lines


def _fields(record: str) -> list[str | None]:
    value = msgspec.json.decode(record, type=object)
    values = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return [_field(value) for value in values]


def _field(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
