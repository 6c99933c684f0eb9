"""Owns the one statement of S3 Select: SELECT … FROM S3Object… WHERE … LIMIT …, taken apart. Pure.

The text is read by sqlglot; this module knows what its general SQL does not: paths after S3Object, and MISSING.
"""

from typing import NamedTuple

from sqlglot import exp, parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from pyrite.core.counts import parse_count
from pyrite.query.expressions import MISSING
from pyrite.query.jobs import EXPRESSION_MAX_BYTES, QueryFailure

FromStep = str | int | None
"""Of the path after S3Object: a key, an index, or None for `[*]`, every element."""

_FUNCTIONS = (
    "AVG", "CAST", "CHAR_LENGTH", "CHARACTER_LENGTH", "COALESCE", "COUNT", "EXTRACT", "LOWER", "MAX", "MIN", "NULLIF",
    "SUBSTRING", "SUM", "TRIM", "UPPER",
)  # fmt: skip
_CLAUSES = frozenset(("expressions", "from_", "where", "limit", "kind"))
_SOURCE = "S3OBJECT"


class _S3Select(Dialect):
    class Tokenizer(tokens.Tokenizer):
        IDENTIFIERS = ['"']  # noqa: RUF012
        QUOTES = ["'", "`"]  # noqa: RUF012 - in backticks stands what Ion writes: timestamps

    class Parser(parser.Parser):
        FUNCTIONS = {name: parser.Parser.FUNCTIONS[name] for name in _FUNCTIONS if name in parser.Parser.FUNCTIONS}  # noqa: RUF012


class Statement(NamedTuple):
    """What a query asks for: expressions, the path below each record, the name of a row, conditions."""

    projections: list[exp.Expression]
    path: tuple[FromStep, ...]
    alias: str
    where: exp.Expression | None
    limit: int | None


def parse(expression: str, loose: bool = False) -> Statement:
    """Raises QueryFailure. `loose` takes any name for S3Object."""
    if len(expression.encode("utf-8", "surrogatepass")) > EXPRESSION_MAX_BYTES:
        raise QueryFailure("ExpressionTooLong", "The SQL expression is too long.")
    try:
        dialect = _S3Select()
        listed = list(dialect.tokenize(expression))
        while listed and listed[-1].token_type is TokenType.SEMICOLON:
            listed.pop()
        start, stop, path, alias = _source(listed, loose)
        rest = _without_missing(expression, listed[:start]), _without_missing(expression, listed[stop:])
        tree = dialect.parse(f"{rest[0]} FROM source {rest[1]}")
    except SqlglotError as error:
        raise QueryFailure("ParseUnexpectedToken", _message(error)) from None
    except RecursionError:
        raise QueryFailure("ExpressionTooLong", "The SQL expression is nested too deeply.") from None
    if len(tree) != 1 or not isinstance(tree[0], exp.Select):
        raise QueryFailure("UnsupportedSqlOperation", "The SQL expression has to be one SELECT.")
    return _statement(tree[0], path, alias)


def _statement(tree: exp.Select, path: tuple[FromStep, ...], alias: str) -> Statement:
    for name, part in tree.args.items():
        if part and name not in _CLAUSES:
            raise QueryFailure("UnsupportedSyntax", f"S3 Select has no {name.strip('_').upper()}.")
    limit = tree.args.get("limit")
    number = limit.expression if limit is not None else None
    if number is not None and not (isinstance(number, exp.Literal) and parse_count(number.name) is not None):
        raise QueryFailure("ParseInvalidTypeParam", "LIMIT takes a number.")
    where = tree.args.get("where")
    return Statement(
        tree.expressions,
        path,
        alias,
        where.this if where is not None else None,
        int(number.name) if number is not None else None,
    )


def _source(listed: list[Token], loose: bool) -> tuple[int, int, tuple[FromStep, ...], str]:
    """Where FROM and what belongs to it stand among the tokens, the path in it, and the name of a row."""
    start = _from_token(listed)
    at = start + 1
    if at >= len(listed) or (listed[at].text.upper() != _SOURCE and not loose):
        raise QueryFailure("InvalidDataSource", "FROM names S3Object.")
    path: list[FromStep] = []
    at += 1
    while at < len(listed) and listed[at].token_type in (TokenType.DOT, TokenType.L_BRACKET):
        step, at = _step(listed, at)
        path.append(step)
    alias = ""
    if at < len(listed) and listed[at].token_type is TokenType.ALIAS:
        at += 1
    if at < len(listed) and listed[at].token_type not in (TokenType.WHERE, TokenType.LIMIT) and _is_name(listed[at]):
        alias, at = listed[at].text, at + 1
    return start, at, tuple(path[1:] if path[:1] == [None] else path), alias


def _from_token(listed: list[Token]) -> int:
    """The FROM of the statement; those of EXTRACT, SUBSTRING and TRIM stand in parentheses."""
    depth = 0
    for at, token in enumerate(listed):
        if token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
        elif token.token_type is TokenType.FROM and not depth:
            return at
    raise QueryFailure("ParseSelectMissingFrom", "The SQL expression lacks FROM.")


def _step(listed: list[Token], at: int) -> tuple[FromStep, int]:
    if listed[at].token_type is TokenType.DOT:
        if at + 1 < len(listed) and listed[at + 1].text == "*":
            return None, at + 2
        if at + 1 < len(listed) and _is_name(listed[at + 1]):
            return listed[at + 1].text, at + 2
    elif at + 2 < len(listed) and listed[at + 2].token_type is TokenType.R_BRACKET:
        token = listed[at + 1]
        if token.token_type is TokenType.STAR:
            return None, at + 3
        number = parse_count(token.text) if token.token_type is TokenType.NUMBER else None
        if number is not None:
            return number, at + 3
        if token.token_type is TokenType.STRING:
            return token.text, at + 3
    raise QueryFailure("InvalidKeyPath", "The path after S3Object is not valid.")


def _is_name(token: Token) -> bool:
    return token.token_type is TokenType.IDENTIFIER or token.text.replace("_", "a").isalnum()


def _without_missing(expression: str, listed: list[Token]) -> str:
    """The text of tokens, with IS MISSING written as a comparison, which sqlglot can read."""
    if not listed:
        return ""
    written, at = [], listed[0].start
    for index, token in enumerate(listed):
        if token.token_type is not TokenType.VAR or token.text.upper() != "MISSING" or index == 0:
            continue
        negated = listed[index - 1].token_type is TokenType.NOT
        before = listed[index - 2] if negated and index > 1 else listed[index - 1]
        if before.token_type is TokenType.IS:
            written.append(f"{expression[at : before.start]} {'<>' if negated else '='} {MISSING}")
            at = token.end + 1
    return "".join(written) + expression[at : listed[-1].end + 1]


def _message(error: SqlglotError) -> str:
    """What sqlglot says, without its marks for terminals."""
    first = str(error).split("\n", 1)[0]
    return f"The SQL expression could not be parsed: {first}"
