"""Owns one mirror: an environment, the drive it stands on, and the thread that writes it."""

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from pyrite.core.pace import Pace
from pyrite.metadata.environment import Changes, LmdbEnvironment, MirrorSet, WriteTransaction


class MirrorBehind(Exception):
    """A mirror's last transaction is not the one that the first mirror has."""


class Mirror:
    """Applies what the first mirror was given, in two phases, on a thread of its own.

    LMDB binds a write transaction to its thread, so `prepare`, `commit` and `abort` only hand work over.
    """

    def __init__(self, name: str, environment: LmdbEnvironment) -> None:
        self.name = name
        self.environment = environment
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mirror")
        self._txn: WriteTransaction | None = None
        self._last: Future[None] | None = None
        self.pace = Pace()

    def prepare(
        self, changes: Changes, sequence: int, redo: bytes, mirrors: MirrorSet, turn: Event, begun: Event
    ) -> "Future[None]":
        """Write `changes` as transaction `sequence`, uncommitted. Fails with MirrorBehind or lmdb.Error.

        The writer's lock is taken after `turn`, and `begun` is set once it was: whoever takes several takes them in
        the order of the set, so that no two processes wait for each other.
        """
        return self._thread.submit(self._begin, changes, sequence, redo, mirrors, turn, begun)

    def commit(self) -> "Future[None]":
        """Make what was prepared durable. Fails with lmdb.Error."""
        return self._thread.submit(self._commit)

    def record(self, mirrors: MirrorSet) -> "Future[None]":
        """Note the set of mirrors, outside any numbered transaction. Fails with lmdb.Error."""
        return self._thread.submit(self._record, mirrors)

    def abort(self) -> None:
        """Undo what was prepared, if anything."""
        self._thread.submit(self._abort).result()

    def _begin(
        self, changes: Changes, sequence: int, redo: bytes, mirrors: MirrorSet, turn: Event, begun: Event
    ) -> None:
        turn.wait()
        try:
            self._txn = self.environment.begin()
        finally:
            begun.set()
        try:
            self._prepare(self._txn, changes, sequence, redo, mirrors)
        except BaseException:
            self._abort()
            raise

    def _prepare(self, txn: WriteTransaction, changes: Changes, sequence: int, redo: bytes, mirrors: MirrorSet) -> None:
        if txn.sequence != sequence - 1:
            raise MirrorBehind(self.name)
        for place, stored in changes.items():
            txn.write(place, stored)
        if txn.mirrors != mirrors:
            txn.set_mirrors(mirrors)
        txn.finish(sequence, redo)

    def _record(self, mirrors: MirrorSet) -> None:
        txn = self.environment.begin()
        try:
            txn.set_mirrors(mirrors)
            txn.commit()
        finally:
            txn.abort()

    def _commit(self) -> None:
        txn, self._txn = self._txn, None
        if txn is not None:
            self.commit_timed(txn)

    def commit_timed(self, txn: WriteTransaction) -> None:
        """Commit a transaction of this mirror's environment, on the thread that began it. Raises lmdb.Error."""
        token = self.pace.begin()
        try:
            txn.commit()
        finally:
            self.pace.end(token, "commit")

    def _abort(self) -> None:
        txn, self._txn = self._txn, None
        if txn is not None:
            txn.abort()

    def close_when_idle(self) -> bool:
        """Close it, if nothing is under way in it; whether it is closed. Nobody may give it anything to do any more."""
        if self._last is None:
            self._last = self._thread.submit(lambda: None)  # done once everything before it is
        if not self._last.done() or self.environment.copies:
            return False
        self.close()
        return True

    def close(self) -> None:
        """End the thread and close the environment."""
        self._thread.shutdown(wait=True)
        self.environment.close()
