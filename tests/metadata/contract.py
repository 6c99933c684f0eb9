"""The contract of metadata engines: every implementation passes this suite."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrite.metadata.kv import ABSENT, Batch, CeilingExceeded, Conflict, Engine, Prior, decode_counter
from pyrite.metadata.memory import MemoryEngine

EngineFactory = Callable[[], Awaitable[Engine]]

_LONG = st.builds(
    lambda stem, cut, tail: (stem * 1100)[:cut] + tail,
    st.sampled_from([b"a", b"ab", b"\xff", b"\x00"]),
    st.sampled_from([3, 479, 480, 481, 959, 960, 961, 1020]),
    st.binary(max_size=3),
)
KEYS = st.one_of(st.binary(min_size=1, max_size=4), _LONG.filter(bool))


def batch_of(puts: dict[bytes, bytes] | None = None, deletes: tuple[bytes, ...] = ()) -> Batch:
    batch = Batch()
    for key, value in (puts or {}).items():
        batch.put(key, value)
    for key in deletes:
        batch.delete(key)
    return batch


class EngineContract:
    """Subclass and give `make`, an async function that returns a fresh engine."""

    make: EngineFactory

    def run(self, body: Callable[[Engine], Awaitable[None]]) -> None:
        async def main() -> None:
            engine = await self.make()
            try:
                await body(engine)
            finally:
                await engine.close()

        asyncio.run(main())

    def test_absent_key_reads_as_none(self) -> None:
        """A key that was never put reads as None."""

        async def body(engine: Engine) -> None:
            assert await engine.get(b"nothing") is None

        self.run(body)

    def test_a_prior_is_done_before_its_batch(self) -> None:
        """Batches whose prior succeeds are applied after it; where it fails nothing is, and the others go on."""
        order: list[object] = []

        def flush(items: list[str]) -> list[BaseException | None]:
            order.append(sorted(items))
            return [OSError(item) if item == "bad" else None for item in items]

        async def body(engine: Engine) -> None:
            batches = [batch_of({b"good": b"1"}), batch_of({b"bad": b"2"}), batch_of({b"plain": b"3"})]
            batches[0].prior, batches[1].prior = Prior(flush, "good"), Prior(flush, "bad")
            commits = [asyncio.ensure_future(engine.commit(batch)) for batch in batches]
            outcomes = await asyncio.gather(*commits, return_exceptions=True)
            assert outcomes[0] is None and outcomes[2] is None
            assert isinstance(outcomes[1], OSError)
            assert await engine.get(b"good") is not None
            assert await engine.get(b"plain") is not None
            assert await engine.get(b"bad") is None
            assert sorted(str(item) for items in order for item in items) == ["bad", "good"]  # type: ignore[attr-defined]

        self.run(body)

    def test_a_prior_that_raises_stops_its_batch(self) -> None:
        """A prior that raises instead of returning outcomes fails its own batches alone."""

        def flush(_: list[str]) -> list[BaseException | None]:
            raise RuntimeError("broken")

        async def body(engine: Engine) -> None:
            broken = batch_of({b"broken": b"1"})
            broken.prior = Prior(flush, "x")
            with pytest.raises(RuntimeError):
                await engine.commit(broken)
            await engine.commit(batch_of({b"fine": b"1"}))
            assert await engine.get(b"broken") is None

        self.run(body)

    def test_a_conflict_is_found_after_the_prior(self) -> None:
        """Whoever sees a Conflict knows that the prior was done, so that it is not done again."""
        done: list[str] = []

        def flush(items: list[str]) -> list[BaseException | None]:
            done.extend(items)
            return [None] * len(items)

        async def body(engine: Engine) -> None:
            batch = batch_of({b"k": b"v"})
            batch.expect(b"k", 12345)
            batch.prior = Prior(flush, "bytes")
            with pytest.raises(Conflict):
                await engine.commit(batch)
            assert done == ["bytes"] and await engine.get(b"k") is None

        self.run(body)

    def test_versions_change_with_every_put(self) -> None:
        """Putting a key again gives it another version, even when the value is the same."""

        async def body(engine: Engine) -> None:
            await engine.commit(batch_of({b"k": b"v"}))
            first = await engine.get(b"k")
            await engine.commit(batch_of({b"k": b"v"}))
            second = await engine.get(b"k")
            assert first and second and first.value == second.value == b"v"
            assert first.version != second.version

        self.run(body)

    def test_failed_expectation_changes_nothing(self) -> None:
        """A batch whose expectation fails raises Conflict with the key and applies none of its changes."""

        async def body(engine: Engine) -> None:
            await engine.commit(batch_of({b"k": b"1"}))
            batch = batch_of({b"k": b"2", b"other": b"x"})
            batch.expect(b"k", ABSENT)
            batch.add(b"counter", 5)
            with pytest.raises(Conflict) as caught:
                await engine.commit(batch)
            assert caught.value.key == b"k"
            entry = await engine.get(b"k")
            assert entry is not None and entry.value == b"1"
            assert await engine.get(b"other") is None
            assert await engine.get(b"counter") is None

        self.run(body)

    def test_racing_batches_with_one_expectation(self) -> None:
        """Of many concurrent batches that expect a key to be absent exactly one commits."""

        async def body(engine: Engine) -> None:
            async def attempt(number: int) -> bool:
                batch = batch_of({b"k": b"%d" % number})
                batch.expect(b"k", ABSENT)
                try:
                    await engine.commit(batch)
                except Conflict:
                    return False
                return True

            won = await asyncio.gather(*(attempt(number) for number in range(50)))
            assert won.count(True) == 1
            entry = await engine.get(b"k")
            assert entry is not None and entry.value == b"%d" % won.index(True)

        self.run(body)

    def test_ceilings_hold_under_concurrency(self) -> None:
        """A counter never passes its ceiling, whoever adds at once; what would pass it changes nothing; less is free."""

        async def body(engine: Engine) -> None:
            async def add(number: int) -> bool:
                batch = Batch()
                batch.add(b"counter", 3)
                batch.put(b"row%d" % number, b"x")
                batch.limit(b"counter", 10)
                try:
                    await engine.commit(batch)
                except CeilingExceeded:
                    return False
                return True

            added = await asyncio.gather(*map(add, range(8)))
            assert sum(added) == 3
            entry = await engine.get(b"counter")
            assert decode_counter(entry.value if entry else None) == 9
            assert len(await engine.scan(b"row", b"rox", 100)) == 3
            batch = Batch()
            batch.add(b"counter", -1)
            batch.limit(b"counter", 5)
            await engine.commit(batch)  # a counter beyond a ceiling that came later may always sink

        self.run(body)

    def test_counters_add_up_under_concurrency(self) -> None:
        """Concurrent increments of one counter are all counted."""

        async def body(engine: Engine) -> None:
            async def add(delta: int) -> None:
                batch = Batch()
                batch.add(b"n", delta)
                await engine.commit(batch)

            await asyncio.gather(*(add(delta) for delta in range(-20, 40)))
            entry = await engine.get(b"n")
            assert entry is not None and decode_counter(entry.value) == sum(range(-20, 40))

        self.run(body)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(
        steps=st.lists(st.tuples(KEYS, st.booleans()), min_size=1, max_size=30),
        bounds=st.tuples(KEYS, KEYS),
        limit=st.integers(1, 8),
    )
    def test_agrees_with_the_model(
        self, steps: list[tuple[bytes, bool]], bounds: tuple[bytes, bytes], limit: int
    ) -> None:
        """After any puts and deletes, gets and scans in both directions equal those of the oracle."""

        async def body(engine: Engine) -> None:
            model = MemoryEngine()
            for number, (key, keep) in enumerate(steps):
                for target in (engine, model):
                    await target.commit(batch_of({key: b"%d" % number}) if keep else batch_of({}, (key,)))
            start, end = bounds
            for reverse in (False, True):
                for size in (limit, 1000):
                    for low, high in ((start, end), (b"\x00", b"\xff" * 1200)):
                        got = await engine.scan(low, high, size, reverse)
                        want = await model.scan(low, high, size, reverse)
                        assert [(row.key, row.value) for row in got] == [(row.key, row.value) for row in want]
            for key, _ in steps:
                got_entry, want_entry = await engine.get(key), await model.get(key)
                assert (got_entry and got_entry.value) == (want_entry and want_entry.value)

        self.run(body)
