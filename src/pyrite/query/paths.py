"""Owns what names in an expression mean: a path below a row. Pure."""

from typing import Protocol

from sqlglot import exp

from pyrite.query.jobs import QueryFailure
from pyrite.query.values import Value

Step = str | int
"""Of a path: a name, or the index of an element. A name that was quoted stands in `Path.quoted`."""


class Path(list[Step]):
    """A path below a row."""

    quoted = False


class Row(Protocol):
    """What names mean."""

    def value(self, path: Path) -> Value:
        """The value below a row. Raises QueryFailure."""
        ...


def path_of(node: exp.Expression) -> Path:
    """The steps that a name, a dotted name or an indexed one consists of. Raises QueryFailure."""
    path = Path()
    if isinstance(node, exp.Column):
        parts = node.parts
        path.extend(part.name for part in parts)
        path.quoted = len(parts) == 1 and bool(parts[0].args.get("quoted"))
    elif isinstance(node, exp.Dot):
        path.extend(path_of(node.this))
        path.append(node.expression.name)
    elif isinstance(node, exp.Bracket) and len(node.expressions) == 1 and isinstance(node.expressions[0], exp.Literal):
        index = node.expressions[0]
        path.extend(path_of(node.this))
        path.append(index.name if index.args["is_string"] else int(index.name))
    else:
        raise QueryFailure("InvalidKeyPath", "A path consists of names and indices.")
    return path
