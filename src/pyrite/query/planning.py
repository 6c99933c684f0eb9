"""Owns the SQL that a query becomes. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlglot import exp

from pyrite.query.expressions import Translator
from pyrite.query.jobs import QueryFailure
from pyrite.query.paths import Path, Row, path_of
from pyrite.query.sources import Table
from pyrite.query.statement import Statement
from pyrite.query.values import Value, as_json, printed, truth


class Plan(NamedTuple):
    """DuckDB's SQL, the names of its columns, and whether its one column is whole records of JSON."""

    sql: str
    names: list[str]
    whole: bool = False


def plan(statement: Statement, row: Row, table: Table, as_objects: bool, now_iso: str) -> Plan:
    """The query over `table`; its columns are text, or JSON text with `as_objects`. Raises QueryFailure."""
    translator = Translator(row, now_iso)
    shown = list(_projections(statement, translator, table))
    if not shown:
        raise QueryFailure("ParseSelectMissingFrom", "SELECT names nothing.")
    columns = ", ".join(as_json(value) if as_objects else printed(value) for _, value in shown)
    whole = _is_all(statement) and not table.columns
    if whole:
        columns = "CAST(v AS VARCHAR)"
    sql = f"SELECT {columns} FROM {table.sql}"
    if statement.where is not None:
        sql += f" WHERE {truth(translator.translate(statement.where))}"
    if statement.limit is not None:
        sql += f" LIMIT {statement.limit}"
    return Plan(sql, [name for name, _ in shown], whole)


def _is_all(statement: Statement) -> bool:
    return len(statement.projections) == 1 and _is_star(statement.projections[0])


def _is_star(node: exp.Expression) -> bool:
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))


def _projections(statement: Statement, translator: Translator, table: Table) -> Iterable[tuple[str, Value]]:
    if _is_all(statement):
        yield from table.columns or [("_1", Value("v", "json"))]
        return
    for at, node in enumerate(statement.projections, 1):
        if _is_star(node):
            raise QueryFailure("ParseAsteriskIsNotAloneInSelectList", "* stands alone after SELECT.")
        if isinstance(node, exp.Alias):
            yield node.alias, translator.translate(node.this)
        else:
            yield _name(node, at), translator.translate(node)


def _name(node: exp.Expression, at: int) -> str:
    """A field is called what the last step to it is, everything else by its number."""
    if isinstance(node, (exp.Column, exp.Dot)):
        path: Path = path_of(node)
        if isinstance(path[-1], str):
            return path[-1]
    return f"_{at}"
