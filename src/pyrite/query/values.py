"""Owns how values of an expression become each other in DuckDB's SQL: what is text, a number, a truth, a time. Pure.

Fields of CSV have no type and values of JSON carry theirs with them, so an operator decides what it takes them for.
"""

from typing import Literal, NamedTuple

from pyrite.query.jobs import QueryFailure

Kind = Literal["int", "float", "text", "bool", "time", "field", "json", "native", "null"]
"""`field`: text of CSV that may be anything; `json`: a value of JSON; `native`: a column that has a type in Parquet."""

_NUMBERS = ("int", "float")


class Value(NamedTuple):
    """An expression in DuckDB's SQL, and what it is."""

    sql: str
    kind: Kind


def text(value: Value) -> str:
    """As VARCHAR."""
    if value.kind == "json":
        return f"({value.sql} ->> '$')"
    return value.sql if value.kind in ("text", "field") else f"CAST({value.sql} AS VARCHAR)"


def number(value: Value) -> str:
    """As a number; NULL where it is none."""
    if value.kind in _NUMBERS or value.kind in ("native", "null"):
        return value.sql
    if value.kind == "bool":
        return f"CAST({value.sql} AS INTEGER)"
    return f"TRY_CAST(nullif({text(value)}, '') AS DOUBLE)"  # DuckDB takes no text for 0


def truth(value: Value) -> str:
    """As BOOLEAN; NULL where it is none."""
    if value.kind in ("bool", "native", "null"):
        return value.sql
    if value.kind in _NUMBERS:
        return f"({value.sql} <> 0)"
    return f"TRY_CAST({text(value)} AS BOOLEAN)"


def time(value: Value) -> str:
    """As TIMESTAMP in UTC. What is no time fails the query."""
    if value.kind in ("time", "native", "null"):
        return value.sql
    if value.kind in _NUMBERS or value.kind == "bool":
        raise QueryFailure("EvaluatorInvalidArguments", "A number is not a timestamp.")
    given = text(value)
    forms = "'%Y-%m-%dT%H:%MZ', '%Y-%m-%dT', '%Y-%mT', '%YT', '%Y%m%dT%H%M%SZ'"
    known = f"make_timestamp(epoch_us(TRY_CAST({given} AS TIMESTAMPTZ)))"
    return (
        f"CASE WHEN {given} IS NULL THEN NULL ELSE COALESCE({known}, TRY_STRPTIME({given}, [{forms}]), "
        f"error('TIMESTAMP ' || {given})) END"
    )


def unified(values: list[Value]) -> list[Value]:
    """Values of which one is the result: all of one kind."""
    kinds = {value.kind for value in values} - {"null"}
    if len(kinds) <= 1:
        kind = kinds.pop() if kinds else "null"
        return [Value(value.sql, kind) for value in values]
    if kinds <= {"int", "float"}:
        return [Value(f"CAST({value.sql} AS DOUBLE)", "float") for value in values]
    return [Value(text(value), "text") for value in values]


def compared(left: Value, operator: str, right: Value) -> Value:
    """`left operator right` for one of = <> < <= > >=."""
    kinds = {left.kind, right.kind}
    if kinds & {"int", "float"}:
        sides = number(left), number(right)
    elif "bool" in kinds:
        sides = truth(left), truth(right)
    elif "time" in kinds:
        sides = time(left), time(right)
    elif "native" in kinds:
        sides = left.sql, right.sql
    elif kinds == {"json"}:
        return Value(_compared_dynamically(left, operator, right), "bool")
    else:
        sides = text(left), text(right)
    return Value(f"({sides[0]} {operator} {sides[1]})", "bool")


def _compared_dynamically(left: Value, operator: str, right: Value) -> str:
    """Two values of JSON: as numbers if both are, else as text."""
    a, b = number(left), number(right)
    return (
        f"(CASE WHEN {a} IS NOT NULL AND {b} IS NOT NULL THEN {a} {operator} {b} "
        f"ELSE {text(left)} {operator} {text(right)} END)"
    )


def printed(value: Value) -> str:
    """As the text that output shows. A whole number is shown as one, however it was computed."""
    if value.kind == "float":
        return f"regexp_replace(CAST({value.sql} AS VARCHAR), '\\.0$', '')"
    if value.kind == "time":
        return f"strftime({value.sql}, '%Y-%m-%dT%H:%M:%S.%gZ')"
    return text(value)


def as_json(value: Value) -> str:
    """As JSON text; SQL's NULL only where JSON has no such value at all."""
    if value.kind == "json":
        return f"CAST({value.sql} AS VARCHAR)"
    if value.kind == "float":
        return f"COALESCE(regexp_replace(CAST(to_json({value.sql}) AS VARCHAR), '\\.0$', ''), 'null')"
    if value.kind == "time":
        return f"COALESCE(CAST(to_json({printed(value)}) AS VARCHAR), 'null')"
    return f"COALESCE(CAST(to_json({value.sql}) AS VARCHAR), 'null')"
