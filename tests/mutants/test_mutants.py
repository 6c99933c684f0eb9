"""The tests are tested: bugs planted in the source are found by them."""

import ast

import pytest

from tests.mutants.planting import ROOT, Mutant, catalogue, planted, survives

MUTANTS = catalogue()
SAMPLED = (
    "skip the sync of a small write",
    "acknowledge with k fragments",
    "believe every fragment",
    "the last writer did not look",
    "repair believes what it wrote",
    "a lost mirror is not announced",
)


def test_every_planted_bug_fits_the_source() -> None:
    """Each of at least sixty bugs stands once in the source, leaves it valid Python, and has tests to find it."""
    assert len(MUTANTS) >= 60
    for mutant in MUTANTS:
        text = planted(mutant)
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse((ROOT / "src" / "pyrite" / mutant.file).read_text()))
        assert all((ROOT / killer.partition("::")[0]).exists() for killer in mutant.killer.split())


HARMLESS = Mutant(
    "nothing is wrong", "core/counts.py", "def parse_clamped(", "parse_nothing = None\n\n\ndef parse_clamped(", ""
)


@pytest.mark.parametrize("killer", ["tests/core/test_confine.py", "tests/core/test_counts.py"])
def test_what_does_no_harm_survives(killer: str) -> None:
    """Tests that pass without a bug pass in the environment of planted ones: what fails there fails for the bug."""
    assert survives(HARMLESS._replace(killer=killer))


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("killer", sorted({mutant.killer for mutant in MUTANTS}))
def test_every_killer_passes_without_a_bug(killer: str) -> None:
    """No bug counts as found by tests that fail, or do not end, without it."""
    assert survives(HARMLESS._replace(killer=killer))


@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if mutant.name in SAMPLED], ids=lambda one: one.name)
def test_some_planted_bugs_are_found(mutant: Mutant) -> None:
    """A bug of each kind is found by the tests that it names; `-m long` tries all."""
    assert not survives(mutant), f"nothing noticed: {mutant.name}"


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_every_planted_bug_is_found(mutant: Mutant) -> None:
    """Every bug of the catalogue is found."""
    assert not survives(mutant), f"nothing noticed: {mutant.name}"
