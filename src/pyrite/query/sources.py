"""Owns what stands below FROM in DuckDB: a table of CSV fields, of JSON values, or of Parquet columns. Pure."""

from typing import NamedTuple

from pyrite.core.counts import parse_count
from pyrite.query.expressions import quoted
from pyrite.query.jobs import DOCUMENT_MAX_BYTES, RECORD_MAX_BYTES, CsvInput, JsonInput, QueryFailure
from pyrite.query.paths import Path
from pyrite.query.statement import FromStep
from pyrite.query.values import Kind, Value

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"), "int"
    ),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "float"),
    "VARCHAR": "text",
    "BOOLEAN": "bool",
    "TIMESTAMP": "time",
}


class Table(NamedTuple):
    """`sql` is what DuckDB reads from; `columns` the names that SELECT * shows, with their values."""

    sql: str
    columns: list[tuple[str, Value]]


class Fields:
    """Rows of CSV: `count` fields as far as is known, more where `named` says that one is asked for.

    `names` are those of the header, if it is used.
    """

    def __init__(self, count: int, named: int, names: list[str] | None, alias: str, loose: bool) -> None:
        self._count = count
        self._read = max(count, named)
        self._names = names
        self._exact = {name: at for at, name in reversed(list(enumerate(names or [], 1)))}
        self._folded = {name.lower(): at for name, at in self._exact.items()}
        self._alias = alias
        self._loose = loose

    def value(self, path: Path) -> Value:
        """The field that a name or a number (`_1`) stands for. Raises QueryFailure."""
        steps = below(path, self._alias)
        if len(steps) != 1 or not isinstance(steps[0], str):
            raise QueryFailure("InvalidKeyPath", "A field of CSV has nothing below it.")
        name = steps[0]
        at = self._exact.get(name) or (None if path.quoted else self._folded.get(name.lower()))
        if at is None and self._loose and path.quoted:
            return Value(quoted(name), "text")
        number = parse_count(name[1:]) if name[:1] == "_" else None
        if at is None and number:
            at = number
            if at > self._read:
                return Value("NULL", "null")  # more than any record may have
        if at is not None:
            return Value(f"_{at}", "field")
        raise QueryFailure("MissingHeaders", f"The file has no column {name!r}.")

    def table(self, place: str, form: CsvInput) -> Table:
        """All fields, as DuckDB reads them from `place`. Shorter records have empty ones; beyond `count`, none."""
        names = [f"_{at}" for at in range(1, self._count + 1)]
        columns = ", ".join(f"'_{at}': 'VARCHAR'" for at in range(1, self._read + 1))
        sql = (
            f"read_csv({quoted(place)}, auto_detect=false, header=false, delim={quoted(form.field)}, "
            f"quote={quoted(form.quote)}, escape={quoted(form.escape)}, new_line='\\n', null_padding=true, "
            f"strict_mode=false, parallel=false, max_line_size={RECORD_MAX_BYTES}, "
            f"force_not_null=[{', '.join(map(quoted, names))}], columns={{{columns}}})"
        )
        labels = [*(self._names or []), *names[len(self._names or []) :]]
        shown = zip(labels, names, strict=True)
        return Table(sql, [(label, Value(name, "field")) for label, name in shown])


class JsonRows:
    """Rows that are values of JSON."""

    def __init__(self, alias: str, loose: bool) -> None:
        self._alias = alias
        self._loose = loose

    def value(self, path: Path) -> Value:
        """What stands at a path below the row."""
        steps = below(path, self._alias)
        if self._loose and steps[:1] == ["_1"]:
            steps = steps[1:]
        return Value(f"json_extract(v, {quoted(_json_path(steps))})" if steps else "v", "json")

    def table(self, place: str, form: JsonInput, path: tuple[FromStep, ...]) -> Table:
        """The values at `path` below each record; those that lack it give no row."""
        most = RECORD_MAX_BYTES if form.lines else DOCUMENT_MAX_BYTES
        sql = (
            f"read_json({quoted(place)}, format='{'newline_delimited' if form.lines else 'unstructured'}', "
            f"records=false, columns={{v: 'JSON'}}, maximum_object_size={most})"
        )
        steps: list[FromStep] = []
        for step in path:
            if step is None:
                sql = f"(SELECT unnest(json_extract(v, {quoted(_json_path(steps) + '[*]')})) AS v FROM {sql})"
                steps = []
            else:
                steps.append(step)
        if steps:
            sql = f"(SELECT json_extract(v, {quoted(_json_path(steps))}) AS v FROM {sql})"
            sql = f"(SELECT v FROM {sql} WHERE v IS NOT NULL)"
        if self._loose and path and path[-1] is not None:  # Ceph goes through an array by itself
            each = "CASE WHEN json_type(v) = 'ARRAY' THEN json_extract(v, '$[*]') ELSE [v] END"
            sql = f"(SELECT unnest({each}) AS v FROM {sql})"
        return Table(sql, [])


class Columns:
    """Rows of Parquet; `described` are its columns and their types, as DuckDB tells them."""

    def __init__(self, described: list[tuple[str, str]], alias: str) -> None:
        self._columns = described
        self._exact = dict(described)
        self._folded = {name.lower(): name for name, _ in described}
        self._alias = alias

    def value(self, path: Path) -> Value:
        """A column, or what is below it. Raises QueryFailure."""
        steps = below(path, self._alias)
        first = steps[0] if steps else ""
        name = str(first)
        if name not in self._exact:
            name = self._folded.get(name.lower(), name)
        at = parse_count(name[1:]) if name[:1] == "_" else None
        if name not in self._exact and at is not None:
            name = self._columns[at - 1][0] if 0 < at <= len(self._columns) else name
        if name not in self._exact:
            raise QueryFailure("MissingHeaders", f"The file has no column {first!r}.")
        sql = _identifier(name)
        for step in steps[1:]:
            sql += f"[{step + 1}]" if isinstance(step, int) else f".{_identifier(step)}"
        kind: Kind = _KINDS.get(self._exact[name].partition("(")[0], "native") if len(steps) == 1 else "native"
        return Value(sql, kind)

    def table(self, place: str) -> Table:
        """All columns."""
        columns = [
            (name, Value(_identifier(name), _KINDS.get(kind.partition("(")[0], "native")))
            for name, kind in self._columns
        ]
        return Table(f"read_parquet({quoted(place)})", columns)


def below(path: Path, alias: str) -> list[str | int]:
    """A path without the name of the row at its beginning."""
    first = str(path[0]).lower() if path else ""
    if first == (alias or "s3object").lower() and (len(path) > 1 or not path.quoted):
        return path[1:]
    return list(path)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _json_path(steps: list[FromStep] | list[str | int]) -> str:
    """A path of DuckDB's JSON functions. Raises QueryFailure for a key that it cannot name."""
    written = "$"
    for step in steps:
        if isinstance(step, int):
            written += f"[{step}]"
        else:
            if '"' in str(step):
                raise QueryFailure("InvalidKeyPath", "A key with a quotation mark cannot be named.")
            written += f'."{step}"'
    return written
