"""What is remembered is bounded: in number, and in weight."""

from pyrite.core.lru import LruMap, remembered


def test_the_oldest_leaves_first() -> None:
    """Used again an entry is young; who leaves is told of, who is removed is not."""
    gone: list[str] = []
    known: LruMap[int, str] = LruMap(2, gone.append)
    known.put(1, "one")
    known.put(2, "two")
    assert known.get(1) == "one"
    known.put(3, "three")
    assert gone == ["two"] and known.values() == ["one", "three"]
    assert known.pop(1) == "one" and known.pop(9) is None and gone == ["two"] and len(known) == 1


def test_heavy_entries_push_others_out() -> None:
    """Together they weigh no more than they may; one that is heavier alone stays while it is the newest."""
    known: LruMap[int, str] = LruMap(100, weight_max=10)
    for number in range(4):
        known.put(number, str(number), 4)
    assert known.values() == ["2", "3"]
    known.put(3, "three", 1)
    known.put(4, "4", 5)
    assert known.values() == ["2", "three", "4"], "one that is put again weighs what it weighs now"
    known.put(5, "5", 1000)
    assert known.values() == ["5"]
    known.put(6, "6", 1)
    assert known.values() == ["6"]
    known.clear()
    known.put(7, "7", 10)
    assert known.get(7) == "7"


def test_a_function_that_remembers() -> None:
    """It is asked once for each text, also where it gives None, and forgets when texts are long."""
    asked: list[str] = []

    @remembered
    def first(text: str) -> str | None:
        """The first character."""
        asked.append(text)
        return text[:1] or None

    assert [first("ab"), first("ab"), first(""), first("")] == ["a", "a", None, None]
    assert asked == ["ab", ""] and first.cache_info().hits == 2
    for number in range(40):
        first(str(number) * 100_000)
    first("ab")
    assert asked.count("ab") == 2
