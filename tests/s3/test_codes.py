"""Every error that the code can raise stands in the table of codes, with its message and with what it tells."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import pyrite
from pyrite.aws.errors import Fault
from pyrite.blobs.buffers import BuffersLent
from pyrite.core.errors import PyriteError
from pyrite.iam.patterns import TooLongForPolicy
from pyrite.s3 import codes, errors
from pyrite.s3.codes import CODES, ELEMENTS
from pyrite.s3.errors import S3Error, translate

SOURCE = Path(pyrite.__file__).parent
ELSEWHERE = {
    "s3/errors.py": "errors by meaning and faults of signatures, held below",
    "s3/handlers/transforming.py": "codes that a function of the operator's own gives",
}
"""Where a code or what is told is not written down at the place, and why that is right."""


class Raised(NamedTuple):
    """An error that is made somewhere: its codes, and the names of what it tells (None: they are made elsewhere)."""

    place: str
    codes: tuple[str, ...] | None
    names: tuple[str, ...] | None


def texts(node: ast.AST) -> tuple[str, ...] | None:
    """The text that an expression is, or those of which it is one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,)
    if isinstance(node, ast.IfExp):
        either = texts(node.body), texts(node.orelse)
        return None if None in either else (*(either[0] or ()), *(either[1] or ()))
    return None


def names_in(node: ast.AST) -> tuple[str, ...] | None:
    """The names of the elements in an expression of pairs, whatever chooses among them."""
    found = tuple(
        pair.elts[0].value
        for pair in ast.walk(node)
        if isinstance(pair, ast.Tuple)
        and len(pair.elts) == 2
        and isinstance(pair.elts[0], ast.Constant)
        and isinstance(pair.elts[0].value, str)
    )
    return found or (() if ast.unparse(node) == "()" else None)


def assigned(tree: ast.AST, name: str) -> tuple[str, ...] | None:
    """The texts, or the names of elements, of all that a name is given."""
    values = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]
    found = [texts(value) or names_in(value) or called(tree, value) for value in values]
    return None if not found or None in found else tuple(text for one in found for text in one or ())


def called(tree: ast.AST, value: ast.AST) -> tuple[str, ...] | None:
    """What the function of the module gives that an expression calls."""
    is_own = isinstance(value, ast.Call) and isinstance(value.func, ast.Name)
    return returned(tree, value.func.id) if is_own else None  # type: ignore[attr-defined]


def returned(tree: ast.AST, name: str) -> tuple[str, ...] | None:
    """The names of the elements that a function of the module gives."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return names_in(node)
    return None


def looked_up(tree: ast.AST, node: ast.AST | None, is_code: bool) -> tuple[str, ...] | None:
    """What an argument is, where it stands, or where it was named."""
    if node is None:
        return ()
    direct = texts(node) if is_code else names_in(node)
    if direct is not None:
        return direct
    if isinstance(node, ast.Name):
        return assigned(tree, node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        inner = node.args[0] if node.func.id == "tuple" and node.args else None
        return assigned(tree, inner.id) if isinstance(inner, ast.Name) else returned(tree, node.func.id)
    return None


def raised() -> Iterator[Raised]:
    """Every error that is made in the source."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "S3Error":
                continue
            further = {keyword.arg: keyword.value for keyword in node.keywords}
            details = node.args[2] if len(node.args) > 2 else further.get("details")
            place = f"{path.relative_to(SOURCE)}:{node.lineno}"
            yield Raised(place, looked_up(tree, node.args[0], True), looked_up(tree, details, False))


def test_every_error_is_of_the_table() -> None:
    """What is raised anywhere has a code of the table, and tells nothing that the table does not say of it."""
    found = list(raised())
    assert len(found) > 200, "the source is not where it is looked for"
    for one in found:
        module = one.place.partition(":")[0]
        if one.codes is None or one.names is None:
            known = module in ELSEWHERE or (one.codes is None and one.names == ()) or one.names == ("BucketName",)
            assert known, f"{one.place} says nowhere what it is"
            continue
        for code in one.codes:
            assert code in CODES, one.place
            assert set(one.names) <= set(ELEMENTS.get(code, ())), (
                f"{one.place} tells of {code} what is not in the table"
            )


def test_the_table_tells_of_no_other_error() -> None:
    """Elements are those of codes that there are, and a status fits its code."""
    assert set(ELEMENTS) <= set(CODES)
    assert all(400 <= status < 600 for status, _ in CODES.values())
    assert all(message for code, (_, message) in CODES.items() if code not in codes.QUERY_CODES)


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_of_a_signature_is_an_error(fault: Fault) -> None:
    """What can be wrong with a signature has a code of the table."""
    assert errors._FAULTS[fault] in CODES


def test_every_meaning_is_an_error() -> None:
    """What the layers below raise has a code of the table, and what it tells is the table's."""
    assert set(errors._MEANINGS.values()) <= set(CODES)
    tree = ast.parse((SOURCE / "s3" / "errors.py").read_text())
    special = next(
        node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "_SPECIAL"
    )
    calls = [node for node in ast.walk(special) if isinstance(node, ast.Call) and ast.unparse(node.func) == "S3Error"]
    assert len(calls) > 10
    for call in calls:
        told = names_in(call.args[2]) if len(call.args) > 2 else ()
        for code in texts(call.args[0]) or ():
            assert code in CODES and set(told or ()) <= set(ELEMENTS.get(code, ())), code


def test_an_error_has_the_message_of_the_table_unless_it_says_another() -> None:
    """Without a message the table's is told; an empty one is told as it is."""
    for code, (status, message) in CODES.items():
        made = S3Error(code)
        assert (made.status, made.message) == (status, message)
    assert S3Error("InvalidArgument", "").message == ""


@pytest.mark.parametrize(
    "path", [*sorted((SOURCE / "aws").glob("sig*.py")), SOURCE / "s3" / "authentication.py"], ids=lambda p: p.name
)
def test_faults_tell_what_the_table_says(path: Path) -> None:
    """What a fault of a signature tells stands in the table for its code."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) != "AuthFault" or len(node.args) < 3:
            continue
        fault, told = ast.unparse(node.args[0]), names_in(node.args[2])
        if told is None or not fault.startswith("Fault."):
            continue
        code = errors._FAULTS[Fault[fault.removeprefix("Fault.")]]
        assert set(told) <= set(ELEMENTS.get(code, ())), f"{path.name}:{node.lineno} {code}"


@pytest.mark.parametrize(("error", "code"), [(TooLongForPolicy("x"), "AccessDenied"), (BuffersLent("x"), "SlowDown")])
def test_refusals_are_no_errors_of_the_server(error: PyriteError, code: str) -> None:
    """What is too long for a policy, or waited for memory, is refused by its own code, not by a 500."""
    found = translate(error)
    assert found is not None and found.code == code
