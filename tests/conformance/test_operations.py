"""The page of operations says what the operation table says."""

from tests.conformance.operations import PAGE, page


def test_the_page_is_true() -> None:
    """docs/operations.md is what its script would write now."""
    assert PAGE.read_text(encoding="utf-8") == page()
