"""The process of one query: reads the job and the object from standard input, writes output to standard output.

It is started for a query and ends with it. It has no environment, may write no file and read none but the libraries,
reaches no network and no other process, and has limits of memory and processor time. DuckDB sees one path, that of the
object, and none of its extensions is ever fetched.
"""

import contextlib
import csv
import os
import re
import resource
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import duckdb
import msgspec

from pyrite.core import frames
from pyrite.core.confine import confine, end_with_parent, libraries
from pyrite.query import jobs, planning, printing, sources, statement
from pyrite.query.feeding import Records, decompressed, whole_records, within
from pyrite.query.jobs import Counts, CsvInput, Job, JsonInput, JsonOutput, ParquetInput, QueryFailure
from pyrite.query.paths import Row
from pyrite.query.planning import Plan
from pyrite.query.ranges import RANGES, RangeFiles

_ROWS = 2048
_NUMBERED = re.compile(r"\b_(\d{1,6})\b")
_OUTPUT_BYTES = 256 << 10
_PROGRESS_BYTES = 8 << 20
_PROCESS_BYTES = 1 << 30
"""Of address space beside what DuckDB may use: the libraries, and Python."""

_CODES = (
    ("ConversionException", "CastFailed"),
    ("OutOfMemoryException", "Busy"),
    ("Malformed JSON", "JSONParsingError"),
    ("maximum_object_size", "OverMaxRecordSize"),
    ("max_line_size", "OverMaxRecordSize"),
    ("CSV Error", "CSVParsingError"),
    ("Parquet", "ParquetParsingError"),
    ("parquet", "ParquetParsingError"),
    ("TIMESTAMP ", "CastFailed"),
    ("BinderException", "EvaluatorInvalidArguments"),
)


class Child:
    """Runs one job."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._in = incoming
        self._out = outgoing
        self._writing = threading.Lock()
        self._scanned = self._processed = self._returned = 0
        self._told = 0
        self._failure: QueryFailure | None = None

    def run(self) -> None:
        """Raises QueryFailure."""
        end_with_parent()
        kind, payload = frames.read(self._in)
        assert kind == frames.JOB
        job = msgspec.json.decode(payload, type=Job)
        _limit(job)
        confine(libraries(), alone=True)
        asked = statement.parse(job.expression, job.loose)
        if isinstance(job.source, ParquetInput):
            self._over_parquet(job, asked)
        elif isinstance(job.source, CsvInput):
            self._over_csv(job, job.source, asked)
        else:
            self._over_json(job, job.source, asked)

    # ---- the three kinds of input

    def _over_csv(self, job: Job, form: CsvInput, asked: statement.Statement) -> None:
        delimiter = form.record.encode()
        ranged = within(self._content(job), job, delimiter[-1:])  # of two bytes there is \r\n alone
        records = Records(whole_records(ranged, delimiter), form)
        records.look()
        named = max([int(number) for number in _NUMBERED.findall(job.expression)], default=0)
        row = sources.Fields(records.width, min(named, jobs.FIELDS_MAX), records.names, asked.alias, job.loose)
        with self._fed(records) as place:
            self._answer(job, place, lambda _: self._planned(job, asked, row, row.table(place, form)))

    def _over_json(self, job: Job, form: JsonInput, asked: statement.Statement) -> None:
        row = sources.JsonRows(asked.alias, job.loose)
        content = self._content(job)
        if form.lines:
            content = whole_records(within(content, job, b"\n"), b"\n")
        with self._fed(content) as place:
            self._answer(job, place, lambda _: self._planned(job, asked, row, row.table(place, form, asked.path)))

    def _over_parquet(self, job: Job, asked: statement.Statement) -> None:
        place = f"{RANGES}://object"

        def planned(connection: duckdb.DuckDBPyConnection) -> Plan:
            described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{place}')").fetchall()
            row = sources.Columns([(str(name), str(kind)) for name, kind, *_ in described], asked.alias)
            return self._planned(job, asked, row, row.table(place))

        self._answer(job, place, planned, RangeFiles(self._range, job.size_bytes))

    def _planned(self, job: Job, asked: statement.Statement, row: Row, table: sources.Table) -> Plan:
        if asked.path and not isinstance(job.source, JsonInput):
            raise QueryFailure("InvalidKeyPath", "Only JSON has a path after S3Object.")
        return planning.plan(asked, row, table, isinstance(job.output, JsonOutput), job.now_iso)

    # ---- what comes in

    def _content(self, job: Job) -> Iterator[bytes]:
        """The object, decompressed, counted on the way."""
        for block in decompressed(self._arriving(), job.compression):
            self._processed += len(block)
            yield block

    def _arriving(self) -> Iterator[bytes]:
        while True:
            kind, payload = frames.read(self._in)
            if kind == frames.END:
                return
            self._scanned += len(payload)
            if self._scanned - self._told >= _PROGRESS_BYTES:
                self._told = self._scanned
                self._send(frames.PROGRESS, self._counts())
            yield payload

    def _range(self, start: int, stop: int) -> bytes:
        self._send(frames.WANTED, frames.RANGE.pack(start, stop))
        _, payload = frames.read(self._in)
        self._scanned += len(payload)
        self._processed += len(payload)
        return payload

    @contextlib.contextmanager
    def _fed(self, blocks: Iterable[bytes]) -> Iterator[str]:
        """A path at which DuckDB reads `blocks`, written into a pipe by a thread."""
        reader, writer = os.pipe()

        def feed() -> None:
            with os.fdopen(writer, "wb", buffering=0) as file:
                try:
                    for block in blocks:
                        view = memoryview(block)
                        while view:
                            view = view[file.write(view) :]
                except QueryFailure as failure:
                    self._failure = failure
                except (EOFError, BrokenPipeError):
                    pass

        threading.Thread(target=feed, daemon=True).start()
        yield f"/dev/fd/{reader}"

    # ---- what goes out

    def _answer(
        self,
        job: Job,
        place: str,
        planned: Callable[[duckdb.DuckDBPyConnection], Plan],
        files: RangeFiles | None = None,
    ) -> None:
        connection = _connect(job, place, files)
        try:
            plan = planned(connection)
            result = connection.execute(plan.sql)
            self._send(frames.STARTED)
            self._print(job, plan, result)
        except (duckdb.Error, MemoryError) as error:
            raise self._failure or _explained(error) from error
        if self._failure is not None:
            raise self._failure
        self._send(frames.DONE, self._counts())

    def _print(self, job: Job, plan: Plan, result: duckdb.DuckDBPyConnection) -> None:
        printed = printing.printer(job.output, plan.names, plan.whole)
        kept: list[bytes] = []
        size = 0
        while rows := result.fetchmany(_ROWS):
            block = printed(rows)
            kept.append(block)
            size += len(block)
            if size >= _OUTPUT_BYTES:
                self._give(b"".join(kept))
                kept, size = [], 0
        self._give(b"".join(kept))

    def _give(self, output: bytes) -> None:
        for at in range(0, len(output), _OUTPUT_BYTES):
            block = output[at : at + _OUTPUT_BYTES]
            self._returned += len(block)
            self._send(frames.RECORDS, block)

    def _counts(self) -> bytes:
        return msgspec.json.encode(Counts(self._scanned, self._processed, self._returned))

    def _send(self, kind: bytes, payload: bytes = b"") -> None:
        with self._writing:
            frames.write(self._out, kind, payload)

    def fail(self, failure: QueryFailure) -> None:
        """Tell the other end why there is no answer."""
        self._send(frames.FAILED, msgspec.json.encode([failure.code, failure.message]))


def _connect(job: Job, place: str, files: RangeFiles | None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": f"{job.memory_bytes >> 20}MiB",
            "temp_directory": "",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    if files is not None:
        connection.register_filesystem(files)
    connection.execute(f"SET allowed_paths=['{place}']")
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")
    return connection


def _explained(error: BaseException) -> QueryFailure:
    described = f"{type(error).__name__}: {error}"
    for mark, code in _CODES:
        if mark in described:
            return QueryFailure(code, str(error).split("\n", 1)[0][:300])
    if isinstance(error, MemoryError):
        return QueryFailure("Busy", "The query needs more memory than it may have.")
    return QueryFailure("EvaluatorInvalidArguments", str(error).split("\n", 1)[0][:300])


def _limit(job: Job) -> None:
    csv.field_size_limit(jobs.RECORD_MAX_BYTES)
    most = job.memory_bytes + _PROCESS_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (jobs.CPU_MAX_S, jobs.CPU_MAX_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Run the job that comes in; the exit code."""
    child = Child(sys.stdin.buffer, sys.stdout.buffer)
    try:
        child.run()
    except QueryFailure as failure:
        child.fail(failure)
    except (EOFError, BrokenPipeError):
        return 1
    except (RecursionError, MemoryError):
        child.fail(QueryFailure("Busy", "The query needs more memory than it may have."))
    sys.stdout.buffer.flush()
    os._exit(0)  # the thread that feeds may wait for input for ever


if __name__ == "__main__":
    sys.exit(main())
