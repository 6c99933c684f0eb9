"""Owns the expressions of S3 Select: each node that its dialect has becomes DuckDB's SQL; every other is refused. Pure.

Nothing of the client's text reaches DuckDB but literals, which are quoted anew. Source: AWS, "SQL reference for
Amazon S3 Select" in the Amazon S3 User Guide.
"""

import math
from collections.abc import Callable

from sqlglot import exp

from pyrite.core.counts import parse_count
from pyrite.query.jobs import QueryFailure
from pyrite.query.paths import Row, path_of
from pyrite.query.timeparts import DATE_PARTS, EXTRACTED, strftime_of
from pyrite.query.values import Kind, Value, compared, number, text, time, truth, unified

MISSING = "__pyrite_missing__"
"""What the reader of expressions writes for MISSING."""

_COMPARISONS: dict[type[exp.Expression], str] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="
}  # fmt: skip
_ARITHMETIC: dict[type[exp.Expression], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Mod: "%", exp.Div: "/"}
_AGGREGATES: dict[type[exp.Expression], str] = {exp.Sum: "sum", exp.Avg: "avg", exp.Min: "min", exp.Max: "max"}
_TYPES: dict[str, tuple[str, Kind]] = {
    "INT": ("BIGINT", "int"),
    "BIGINT": ("BIGINT", "int"),
    "SMALLINT": ("BIGINT", "int"),
    "FLOAT": ("DOUBLE", "float"),
    "DOUBLE": ("DOUBLE", "float"),
    "DECIMAL": ("DECIMAL(38, 10)", "float"),
    "BOOLEAN": ("BOOLEAN", "bool"),
    "TEXT": ("VARCHAR", "text"),
    "VARCHAR": ("VARCHAR", "text"),
    "CHAR": ("VARCHAR", "text"),
    "TIMESTAMP": ("TIMESTAMP", "time"),
    "DATE": ("TIMESTAMP", "time"),
}
_AS_FUNCTIONS = {"int": "INT", "integer": "INT", "float": "FLOAT", "string": "TEXT", "bool": "BOOLEAN"}


def quoted(literal: str) -> str:
    """A string as a literal of DuckDB. Raises QueryFailure for a NUL, which it has none for."""
    if "\x00" in literal:
        raise QueryFailure("LexerInvalidChar", "The SQL expression contains a character that is not valid.")
    return "'" + literal.replace("'", "''") + "'"


class Translator:
    """Translates the expressions of one query. `now_iso` is what UTCNOW() says."""

    def __init__(self, row: Row, now_iso: str) -> None:
        self._row = row
        self._now_iso = now_iso

    def translate(self, node: exp.Expression) -> Value:
        """Raises QueryFailure."""
        kind = type(node)
        if kind in _COMPARISONS:
            return self._comparison(node, _COMPARISONS[kind])
        if kind in _ARITHMETIC:
            return self._arithmetic(node, _ARITHMETIC[kind])
        if kind in _AGGREGATES:
            return self._aggregate(node, _AGGREGATES[kind])
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise QueryFailure("UnsupportedSyntax", f"{kind.__name__} is not part of S3 Select's SQL.")
        return handler(self, node)

    def _of(self, node: exp.Expression, name: str) -> Value:
        part = node.args.get(name)
        if not isinstance(part, exp.Expression):
            raise QueryFailure("EvaluatorInvalidArguments", f"{type(node).__name__.upper()} lacks an argument.")
        return self.translate(part)

    # ---- names and literals

    def _path(self, node: exp.Expression) -> Value:
        return self._row.value(path_of(node))

    def _literal(self, node: exp.Expression) -> Value:
        if node.args["is_string"]:
            return Value(quoted(node.name), "text")
        if parse_count(node.name) is not None:
            return Value(node.name, "int")
        try:
            value = float(node.name)
        except ValueError:
            raise QueryFailure("LexerInvalidLiteral", f"{node.name!r} is not a number.") from None
        if not math.isfinite(value):
            raise QueryFailure("LexerInvalidLiteral", "A number is too large.")
        return Value(f"CAST({value!r} AS DOUBLE)", "float")

    def _null(self, node: exp.Expression) -> Value:
        return Value("NULL", "null")

    def _boolean(self, node: exp.Expression) -> Value:
        return Value("true" if node.this else "false", "bool")

    def _paren(self, node: exp.Expression) -> Value:
        inner = self._of(node, "this")
        return Value(f"({inner.sql})", inner.kind)

    # ---- operators

    def _comparison(self, node: exp.Expression, operator: str) -> Value:
        other = node.args["expression"]
        if isinstance(other, exp.Column) and other.name == MISSING:
            value = self._of(node, "this")
            return Value(f"({value.sql} IS {'NOT ' if operator == '<>' else ''}NULL)", "bool")
        return compared(self._of(node, "this"), operator, self._of(node, "expression"))

    def _arithmetic(self, node: exp.Expression, operator: str) -> Value:
        left, right = self._of(node, "this"), self._of(node, "expression")
        whole = left.kind == right.kind == "int"
        if operator in "/%":
            divisor = f"nullif({number(right)}, 0)"  # NULL, as no number is the answer
            return Value(f"({number(left)} {'//' if whole and operator == '/' else operator} {divisor})", _kind(whole))
        return Value(f"({number(left)} {operator} {number(right)})", _kind(whole))

    def _negated(self, node: exp.Expression) -> Value:
        value = self._of(node, "this")
        return Value(f"(-{number(value)})", _kind(value.kind == "int"))

    def _joined(self, node: exp.Expression) -> Value:
        return Value(f"({text(self._of(node, 'this'))} || {text(self._of(node, 'expression'))})", "text")

    def _and(self, node: exp.Expression) -> Value:
        return Value(f"({truth(self._of(node, 'this'))} AND {truth(self._of(node, 'expression'))})", "bool")

    def _or(self, node: exp.Expression) -> Value:
        return Value(f"({truth(self._of(node, 'this'))} OR {truth(self._of(node, 'expression'))})", "bool")

    def _not(self, node: exp.Expression) -> Value:
        return Value(f"(NOT {truth(self._of(node, 'this'))})", "bool")

    def _is(self, node: exp.Expression) -> Value:
        value, other = self._of(node, "this"), node.args["expression"]
        if isinstance(other, exp.Null):
            return Value(f"({text(value) if value.kind == 'json' else value.sql} IS NULL)", "bool")
        if isinstance(other, exp.Boolean):
            return Value(f"({truth(value)} IS {'TRUE' if other.this else 'FALSE'})", "bool")
        raise QueryFailure("ParseUnexpectedToken", "IS stands before NULL, MISSING, TRUE or FALSE only.")

    def _in(self, node: exp.Expression) -> Value:
        value = self._of(node, "this")
        if not node.expressions or node.args.get("query") or node.args.get("unnest"):
            raise QueryFailure("UnsupportedSyntax", "IN takes a list of values.")
        options = [compared(value, "=", self.translate(option)).sql for option in node.expressions]
        return Value("(" + " OR ".join(options) + ")", "bool")

    def _between(self, node: exp.Expression) -> Value:
        value = self._of(node, "this")
        low, high = compared(value, ">=", self._of(node, "low")), compared(value, "<=", self._of(node, "high"))
        return Value(f"({low.sql} AND {high.sql})", "bool")

    def _like(self, node: exp.Expression) -> Value:
        return Value(f"({text(self._of(node, 'this'))} LIKE {text(self._of(node, 'expression'))})", "bool")

    def _escaped_like(self, node: exp.Expression) -> Value:
        like, escape = node.this, node.args["expression"]
        if not isinstance(like, exp.Like) or len(escape.name) != 1:
            raise QueryFailure("EvaluatorInvalidArguments", "ESCAPE takes one character, after LIKE.")
        left, pattern = text(self._of(like, "this")), text(self._of(like, "expression"))
        return Value(f"({left} LIKE {pattern} ESCAPE {quoted(escape.name)})", "bool")

    # ---- functions

    def _aggregate(self, node: exp.Expression, function: str) -> Value:
        if isinstance(node.this, exp.Distinct) or node.this is None:
            raise QueryFailure("UnsupportedSyntax", f"{function.upper()} takes one expression.")
        value = self._of(node, "this")
        if function in ("sum", "avg"):
            return Value(f"{function}({number(value)})", _kind(value.kind == "int" and function == "sum"))
        if value.kind not in ("field", "json"):
            return Value(f"{function}({value.sql})", value.kind)
        of_numbers = f"regexp_replace(CAST({function}({number(value)}) AS VARCHAR), '\\.0$', '')"
        all_numbers = f"count({number(value)}) = count({text(value)})"
        return Value(f"CASE WHEN {all_numbers} THEN {of_numbers} ELSE {function}({text(value)}) END", "field")

    def _count(self, node: exp.Expression) -> Value:
        if isinstance(node.this, exp.Star):
            return Value("count(*)", "int")
        if isinstance(node.this, exp.Distinct) or node.expressions:
            raise QueryFailure("UnsupportedSyntax", "COUNT takes one expression or *.")
        value = self._of(node, "this")
        return Value(f"count({text(value) if value.kind == 'json' else value.sql})", "int")

    def _cast(self, node: exp.Expression) -> Value:
        return self._cast_to(self._of(node, "this"), node.args["to"].this.name)

    def _cast_to(self, value: Value, name: str) -> Value:
        if name not in _TYPES:
            raise QueryFailure("InvalidDataType", f"There is no type {name} to cast to.")
        sql_type, kind = _TYPES[name]
        if kind == "time":
            return Value(time(value), kind)
        if kind == "text":
            return Value(text(value), kind)
        given = text(value) if value.kind in ("json", "field") else value.sql
        return Value(f"CAST({given} AS {sql_type})", kind)

    def _coalesce(self, node: exp.Expression) -> Value:
        values = unified([self._of(node, "this"), *(self.translate(option) for option in node.expressions)])
        return Value(f"coalesce({', '.join(value.sql for value in values)})", values[0].kind)

    def _nullif(self, node: exp.Expression) -> Value:
        value = self._of(node, "this")
        return Value(
            f"(CASE WHEN {compared(value, '=', self._of(node, 'expression')).sql} THEN NULL ELSE {value.sql} END)",
            value.kind,
        )

    def _case(self, node: exp.Expression) -> Value:
        subject = self.translate(node.this) if node.this is not None else None
        conditions, results = [], []
        for branch in node.args["ifs"]:
            condition = self.translate(branch.this)
            conditions.append(compared(subject, "=", condition).sql if subject is not None else truth(condition))
            results.append(self.translate(branch.args["true"]))
        default = node.args.get("default")
        results.append(self.translate(default) if default is not None else Value("NULL", "null"))
        *shown, otherwise = unified(results)
        branches = "".join(
            f" WHEN {condition} THEN {value.sql}" for condition, value in zip(conditions, shown, strict=True)
        )
        return Value(f"(CASE{branches} ELSE {otherwise.sql} END)", otherwise.kind)

    def _lower(self, node: exp.Expression) -> Value:
        return Value(f"lower({text(self._of(node, 'this'))})", "text")

    def _upper(self, node: exp.Expression) -> Value:
        return Value(f"upper({text(self._of(node, 'this'))})", "text")

    def _length(self, node: exp.Expression) -> Value:
        return Value(f"length({text(self._of(node, 'this'))})", "int")

    def _substring(self, node: exp.Expression) -> Value:
        """Counted from 1; what stands before the beginning counts for the length, as in the SQL standard."""
        given, start = text(self._of(node, "this")), number(self._of(node, "start"))
        first = f"greatest(CAST({start} AS BIGINT), 1)"
        if node.args.get("length") is None:
            return Value(f"substring({given}, {first})", "text")
        length = number(self._of(node, "length"))
        left = f"greatest(CAST({length} AS BIGINT) + least(CAST({start} AS BIGINT) - 1, 0), 0)"
        return Value(f"substring({given}, {first}, {left})", "text")

    def _trim(self, node: exp.Expression) -> Value:
        function = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper(), "trim")
        characters = node.args.get("expression")
        more = f", {text(self.translate(characters))}" if characters is not None else ""
        return Value(f"{function}({text(self._of(node, 'this'))}{more})", "text")

    def _extract(self, node: exp.Expression) -> Value:
        part = node.this.name.lower()
        if part not in EXTRACTED:
            raise QueryFailure("EvaluatorInvalidArguments", f"There is no part {part!r} of a timestamp.")
        moment = time(self._of(node, "expression"))
        if part.startswith("timezone"):
            return Value(f"CASE WHEN {moment} IS NULL THEN NULL ELSE 0 END", "int")
        return Value(f"extract({part} FROM {moment})", "int")

    def _function(self, node: exp.Expression) -> Value:
        """What the reader of expressions has no node of its own for."""
        name, arguments = node.name.lower(), node.expressions
        if name in _AS_FUNCTIONS and len(arguments) == 1:
            return self._cast_to(self.translate(arguments[0]), _AS_FUNCTIONS[name])
        if name == "utcnow" and not arguments:
            return Value(f"TIMESTAMP {quoted(self._now_iso)}", "time")
        if name == "to_timestamp" and len(arguments) == 1:
            return Value(time(self.translate(arguments[0])), "time")
        if name == "to_string" and len(arguments) == 2 and isinstance(arguments[1], exp.Literal):
            form = quoted(strftime_of(arguments[1].name))
            return Value(f"strftime({time(self.translate(arguments[0]))}, {form})", "text")
        if name in ("date_add", "date_diff") and len(arguments) == 3:
            return self._date(name, arguments)
        raise QueryFailure("UnsupportedFunction", f"There is no function {node.name.upper()} with these arguments.")

    def _date(self, name: str, arguments: list[exp.Expression]) -> Value:
        part = arguments[0].name.lower()
        if part not in DATE_PARTS:
            raise QueryFailure("EvaluatorInvalidArguments", f"There is no part {part!r} of a timestamp.")
        first, second = self.translate(arguments[1]), self.translate(arguments[2])
        if name == "date_add":
            return Value(f"({time(second)} + INTERVAL (CAST({number(first)} AS BIGINT)) {part})", "time")
        return Value(f"date_sub('{part}', {time(first)}, {time(second)})", "int")


def _kind(whole: bool) -> Kind:
    return "int" if whole else "float"


_HANDLERS: dict[type[exp.Expression], Callable[[Translator, exp.Expression], Value]] = {
    exp.Column: Translator._path,
    exp.Dot: Translator._path,
    exp.Bracket: Translator._path,
    exp.Literal: Translator._literal,
    exp.Null: Translator._null,
    exp.Boolean: Translator._boolean,
    exp.Paren: Translator._paren,
    exp.Neg: Translator._negated,
    exp.DPipe: Translator._joined,
    exp.And: Translator._and,
    exp.Or: Translator._or,
    exp.Not: Translator._not,
    exp.Is: Translator._is,
    exp.In: Translator._in,
    exp.Between: Translator._between,
    exp.Like: Translator._like,
    exp.Escape: Translator._escaped_like,
    exp.Count: Translator._count,
    exp.Cast: Translator._cast,
    exp.Coalesce: Translator._coalesce,
    exp.Nullif: Translator._nullif,
    exp.Case: Translator._case,
    exp.Lower: Translator._lower,
    exp.Upper: Translator._upper,
    exp.Length: Translator._length,
    exp.Substring: Translator._substring,
    exp.Trim: Translator._trim,
    exp.Extract: Translator._extract,
    exp.Anonymous: Translator._function,
}
