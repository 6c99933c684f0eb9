"""The dialect, the inputs and the outputs of queries, each through a real process."""

import asyncio
import bz2
import gzip
import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvloop
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrite.query import statement
from pyrite.query.feeding import whole_records, within
from pyrite.query.jobs import CsvInput, CsvOutput, Job, JsonInput, JsonOutput, ParquetInput, QueryFailure
from pyrite.query.processes import Queries

PEOPLE = b'id,name,age\n1,ann,30\n2,bob,4\n3,"c,d",50\n4\n'
USED = CsvInput("USE")
LINES = b'{"id":1,"t":{"a":[1,2,{"x":"y"}]},"n":null}\n{"id":"2","f":1.50}\n'
AS_JSON = JsonOutput()


def ask(expression: str, data: bytes, source=USED, output=None, **more) -> str:
    """What a query over `data` gives."""

    async def read(start: int, stop: int):
        for at in range(start, stop, 100_000):
            yield [memoryview(data[at : min(stop, at + 100_000)])]

    async def run() -> bytes:
        job = Job(expression, source, output or CsvOutput(), len(data), "2026-11-25T12:00:00", **more)
        return b"".join([output.records async for output in Queries().run(job, read)])

    return uvloop.run(run()).decode()


def refusal(expression: str, data: bytes = PEOPLE, source=USED, **more) -> str:
    """The code with which a query fails."""
    with pytest.raises(QueryFailure) as caught:
        ask(expression, data, source, **more)
    return caught.value.code


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("SELECT * FROM S3Object", '1,ann,30\n2,bob,4\n3,"c,d",50\n4,,\n'),
        ("SELECT s.name FROM S3Object s WHERE s.age > 10 LIMIT 1", "ann\n"),
        ('SELECT s."name", s._3 FROM S3Object AS s WHERE s.ID = 2;', "bob,4\n"),
        ("SELECT COUNT(*), SUM(CAST(age AS INT)), MIN(age) FROM S3Object WHERE age <> ''", "3,84,4\n"),
        ("SELECT AVG(age) FROM S3Object", "28\n"),
        ("SELECT UPPER(name) || '!' FROM S3Object WHERE name LIKE '%,%'", '"C,D!"\n'),
        ("SELECT id FROM S3Object WHERE id IN (1, 3) AND age BETWEEN 20 AND 40", "1\n"),
        ("SELECT CASE WHEN age > 10 THEN 'old' ELSE 'young' END FROM S3Object WHERE id < 3", "old\nyoung\n"),
        ("SELECT SUBSTRING(name FROM 2 FOR 1), SUBSTRING(name, -1, 3), CHAR_LENGTH(name) FROM S3Object LIMIT 1", "n,a,3\n"),
        ("SELECT TRIM(LEADING 'a' FROM name), NULLIF(id, '1'), COALESCE(NULLIF(id, '1'), 'x') FROM S3Object LIMIT 1", "nn,,x\n"),
        ("SELECT 7 / 2, 7 % 4, -7 * 1.5, 1 / 0 FROM S3Object LIMIT 1", "3,3,-10.5,\n"),
        ("SELECT EXTRACT(YEAR FROM CAST('2017-05-01T00:00:00+02:00' AS TIMESTAMP)) FROM S3Object LIMIT 1", "2017\n"),
        ("SELECT DATE_DIFF(month, `2020-01-31T00:00Z`, UTCNOW()) FROM S3Object LIMIT 1", "81\n"),
        ("SELECT DATE_ADD(day, 1, TO_TIMESTAMP('2020-02-28T')) FROM S3Object LIMIT 1", "2020-02-29T00:00:00.000Z\n"),
        ("SELECT TO_STRING(TO_TIMESTAMP('2017T'), 'MMMM d, y''!''') FROM S3Object LIMIT 1", '"January 1, 2017!"\n'),
        ("SELECT name FROM S3Object WHERE name LIKE 'b$ob' ESCAPE '$' OR NOT (age > 4 OR age = '')", "bob\n"),
        ("SELECT _9 FROM S3Object WHERE _9 IS MISSING AND id IS NOT NULL LIMIT 1", '""\n'),
    ],
)  # fmt: skip
def test_the_dialect(expression: str, rows: str) -> None:
    """Each construct of the dialect means what AWS documents."""
    assert ask(expression, PEOPLE) == rows


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("SELECT", "ParseSelectMissingFrom"),
        ("SELECT * FROM S3Object; DROP TABLE x", "UnsupportedSqlOperation"),
        ("DELETE FROM S3Object", "UnsupportedSqlOperation"),
        ("SELECT * FROM read_csv('/etc/passwd')", "InvalidDataSource"),
        ("SELECT * FROM S3Object, S3Object", "UnsupportedSyntax"),
        ("SELECT * FROM S3Object UNION SELECT 1", "ParseUnexpectedToken"),
        ("SELECT (SELECT 1) FROM S3Object", "UnsupportedSyntax"),
        ("SELECT name FROM S3Object GROUP BY name", "UnsupportedSyntax"),
        ("SELECT name FROM S3Object ORDER BY name", "UnsupportedSyntax"),
        ("SELECT DISTINCT name FROM S3Object", "UnsupportedSyntax"),
        ("SELECT *, name FROM S3Object", "ParseAsteriskIsNotAloneInSelectList"),
        ("SELECT getenv('HOME') FROM S3Object", "UnsupportedFunction"),
        ("SELECT read_text('/etc/passwd') FROM S3Object", "UnsupportedFunction"),
        ("SELECT nope FROM S3Object", "MissingHeaders"),
        ("SELECT name.x FROM S3Object", "InvalidKeyPath"),
        ("SELECT CAST(name AS INT) FROM S3Object", "CastFailed"),
        ("SELECT CAST(name AS TIMESTAMP) FROM S3Object", "CastFailed"),
        ("SELECT CAST(name AS BLOB) FROM S3Object", "InvalidDataType"),
        ("SELECT COUNT(*), name FROM S3Object", "EvaluatorInvalidArguments"),
        ("SELECT 'a\x00b' FROM S3Object", "LexerInvalidChar"),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000 + " FROM S3Object", "ExpressionTooLong"),
        ("SELECT '" + "x" * 262_144 + "' FROM S3Object", "ExpressionTooLong"),
    ],
)
def test_what_is_no_selection_is_refused(expression: str, code: str) -> None:
    """Anything beyond the dialect is refused with a code of AWS's, before DuckDB sees a word of it."""
    assert refusal(expression) == code


def test_json() -> None:
    """Values of JSON keep their types; what is missing is told from what is null; paths go through arrays."""
    lines = JsonInput()
    assert ask("SELECT * FROM S3Object", LINES, lines, AS_JSON).splitlines()[1] == '{"id":"2","f":1.5}'
    assert ask("SELECT s.id, s.t.a[2].x, s.n FROM S3Object s", LINES, lines, AS_JSON) == (
        '{"id":1,"x":"y","n":null}\n{"id":"2"}\n'
    )
    assert ask("SELECT s.id FROM S3Object s WHERE s.n IS MISSING", LINES, lines) == "2\n"
    assert ask("SELECT s.id FROM S3Object s WHERE s.n IS NULL", LINES, lines) == "1\n2\n"
    assert ask("SELECT s.id FROM S3Object s WHERE s.id = 2", LINES, lines) == "2\n"
    assert ask("SELECT COUNT(a) FROM S3Object[*].t.a[*] a", LINES, lines) == "3\n"
    document = json.dumps({"root": [{"v": 3}, {"v": 10}]}).encode()
    assert ask("SELECT MAX(r.v), SUM(r.v) FROM S3Object[*].root[*] r", document, JsonInput(lines=False)) == "10,13\n"
    assert refusal("SELECT * FROM S3Object", b'{"a":', lines) == "JSONParsingError"
    assert refusal("""SELECT s['a"b'] FROM S3Object s""", LINES, lines) == "InvalidKeyPath"


def test_parquet() -> None:
    """Columns of Parquet keep their types, and only those that are asked for are read."""
    file = io.BytesIO()
    table = pa.table(
        {
            "n": list(range(200_000)),
            "s": [str(at) for at in range(200_000)],
            "deep": [{"x": [at, at + 1]} for at in range(200_000)],
        }
    )
    pq.write_table(table, file, compression="zstd")
    data = file.getvalue()
    parquet = ParquetInput()
    assert ask("SELECT SUM(n), MAX(deep.x[1]) FROM S3Object", data, parquet) == "19999900000,200000\n"
    assert ask("SELECT n, S FROM S3Object p WHERE p.s = '77'", data, parquet, AS_JSON) == '{"n":77,"S":"77"}\n'
    assert refusal("SELECT nope FROM S3Object", data, parquet) == "MissingHeaders"
    assert refusal("SELECT * FROM S3Object", b"PAR1 no PAR1", parquet) == "ParquetParsingError"


def test_compressed() -> None:
    """GZIP (also several members), BZIP2 and ZSTD are opened; what is not so compressed is refused."""
    twice = gzip.compress(PEOPLE) + gzip.compress(b"5,eve,1\n")
    assert ask("SELECT COUNT(*) FROM S3Object", twice, compression="GZIP") == "5\n"
    assert ask("SELECT COUNT(*) FROM S3Object", bz2.compress(PEOPLE), compression="BZIP2") == "4\n"
    assert ask("SELECT COUNT(*) FROM S3Object", zstandard.compress(PEOPLE), compression="ZSTD") == "4\n"
    for compression in ("GZIP", "BZIP2", "ZSTD"):
        assert refusal("SELECT COUNT(*) FROM S3Object", PEOPLE, compression=compression) == "InvalidCompressionFormat"
    cut = gzip.compress(PEOPLE * 1000)[:-20]
    assert refusal("SELECT COUNT(*) FROM S3Object", cut, compression="GZIP") == "InvalidCompressionFormat"


def test_marks_of_csv() -> None:
    """Delimiters, quotes, comments and line ends of other conventions are understood."""
    assert ask("SELECT _1, _2 FROM S3Object", b"a|b\tc|x\ny\t", CsvInput(field="|", record="\t")) == 'a,b\nc,"x\ny"\n'
    assert ask("SELECT * FROM S3Object", b"a,b\r\n#c\r\nd,e\r\n", CsvInput()) == "a,b\nd,e\n"
    assert ask("SELECT * FROM S3Object", b"a,'b,c'\n", CsvInput(quote="'", escape="'")) == 'a,"b,c"\n'
    assert ask("SELECT _2 FROM S3Object", b'a,"b\\"c"\n', CsvInput(escape="\\")) == '"b""c"\n'
    assert ask("SELECT id FROM S3Object", PEOPLE, output=CsvOutput(quote_always=True, record="|")) == '"1"|"2"|"3"|"4"|'
    assert ask("SELECT COUNT(*) FROM S3Object", b"") == "0\n"


def test_a_field_that_only_late_records_have() -> None:
    """A field that is named is found where only records beyond the first block have it; before, it is missing."""
    data = b"a,b\n" * 500_000 + b"a,b,c\n"
    assert ask("SELECT _3 FROM S3Object WHERE _3 IS NOT MISSING", data, CsvInput()) == "c\n"
    assert ask("SELECT * FROM S3Object LIMIT 1", data, CsvInput()) == "a,b\n"


def test_bombs() -> None:
    """A record without end, and a query that needs more memory than it may have, end with an error."""
    assert refusal("SELECT * FROM S3Object", b"x" * (3 << 20), CsvInput()) == "OverMaxRecordSize"
    bomb = gzip.compress(b"\0" * (64 << 20))
    assert refusal("SELECT * FROM S3Object", bomb, CsvInput(), compression="GZIP") == "OverMaxRecordSize"
    document = json.dumps([["x" * 1000] * 1000] * 40).encode()
    assert refusal("SELECT * FROM S3Object[*]", document, JsonInput(lines=False), memory_bytes=16 << 20) in (
        "Busy",
        "OverMaxRecordSize",
    )


def _job(start: int, stop: int | None) -> Job:
    return Job("", CsvInput(), CsvOutput(), 0, "", start=start, stop=stop)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"x")), max_size=8),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 7),
)
def test_records_of_a_range(records: list[bytes], start: int, length: int, step: int) -> None:
    """However the bytes arrive, a range gives the records that begin in it, whole."""
    data = b"".join(record + b"\n" for record in records)
    stop = start + length
    begins = [sum(len(record) + 1 for record in records[:at]) for at in range(len(records))]
    expected = b"".join(record + b"\n" for at, record in zip(begins, records, strict=True) if start <= at <= stop)
    chunks = (data[at : at + step] for at in range(max(start - 1, 0), len(data), step))
    assert b"".join(within(chunks, _job(start, stop), b"\n")) == expected


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 9), st.sampled_from([b"\n", b"||"]))
def test_blocks_are_whole_records(data: bytes, step: int, delimiter: bytes) -> None:
    """Blocks lose nothing, and only the last may end elsewhere than at a delimiter."""
    blocks = list(whole_records((data[at : at + step] for at in range(0, len(data), step)), delimiter))
    assert b"".join(blocks) == data
    assert all(block.endswith(delimiter) for block in blocks[:-1])


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="SELECT FROM*s3Object[].,'\"`()=<>ANDORNOTIS MISSING123_\x00é", max_size=60))
def test_garbage_is_refused_in_words(text: str) -> None:
    """Whatever the text, the reader gives a statement or a QueryFailure with a code."""
    for expression in (text, f"SELECT {text} FROM S3Object", f"SELECT * FROM S3Object WHERE {text}"):
        try:
            statement.parse(expression)
        except QueryFailure as failure:
            assert re.fullmatch(r"[A-Za-z]+", failure.code)


def test_the_process_knows_nothing_of_the_server() -> None:
    """The process of a query has no environment, so no secret of the server's."""

    async def run() -> bytes:
        hold = asyncio.Event()

        async def read(start: int, stop: int):
            yield [memoryview(b"x" * 10)]
            await hold.wait()

        job = Job("SELECT * FROM S3Object", CsvInput(), CsvOutput(), 1 << 20, "2026-11-25T12:00:00")
        outputs = Queries().run(job, read)
        waiting = asyncio.ensure_future(anext(outputs))
        environments: set[bytes] = set()
        while not environments:
            await asyncio.sleep(0)
            environments = set(_environments_of_children())
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await outputs.aclose()
        while list(_environments_of_children()):
            await asyncio.sleep(0)
        return environments.pop()

    assert b"PYRITE" not in uvloop.run(run())


def _environments_of_children():
    import os
    from pathlib import Path

    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            status = (path.parent / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == os.getpid() and b"pyrite.query.child" in (path.parent / "cmdline").read_bytes():
                yield path.read_bytes()
        except OSError:
            continue
