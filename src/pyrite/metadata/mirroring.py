"""Owns the commit of a group of batches on all mirrors. Runs on the one commit thread of a worker.

The first mirror's writer lock keeps other workers out, and locks are taken in the order of the set, so that workers
that know different sets for a moment do not wait for each other. The others prepare, then commit, then the first
commits, so that whoever reads the first sees only what every mirror holds. A mirror that fails is dropped: announced
on every drive before anything is acknowledged without it, so that its stale copy is never taken for the truth.
"""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Event

import lmdb

from pyrite.core.errors import OutcomeUnknown, OutOfSpace, Unavailable
from pyrite.metadata.applying import Applier
from pyrite.metadata.environment import Changes, LmdbEnvironment, MirrorSet, WriteTransaction, encode_redo
from pyrite.metadata.journal import Entry as JournalEntry
from pyrite.metadata.journal import Journal, replay
from pyrite.metadata.kv import Batch
from pyrite.metadata.mirror import Mirror, MirrorBehind

Announce = Callable[[MirrorSet], None]
OpenMirror = Callable[[str], Mirror]
CatchUp = Callable[[int], Sequence[JournalEntry]]
Outcomes = list[BaseException | None]

_ATTEMPTS = 4
MIRROR_PATIENCE_S = 5.0
"""How long a mirror other than the first may take for its part of a commit before it is dropped."""


class MirroredCommitter:
    """Commits groups to `mirrors`; the first of them is the one that is read.

    `announced` is the set as the drives tell it; members of it that are not among `mirrors` are opened, or dropped,
    before the first commit.
    """

    def __init__(
        self,
        mirrors: Sequence[Mirror],
        announced: MirrorSet,
        announce: Announce,
        journal: Journal | None = None,
        open_mirror: OpenMirror | None = None,
    ) -> None:
        self.mirrors = list(mirrors)
        self._journal = journal
        self._open_mirror = open_mirror
        self.journal_failures = 0
        complete = {mirror.name for mirror in mirrors} >= set(announced.members)
        self._epoch = announced.epoch if complete else announced.epoch - 1
        self._to_adopt = None if complete else announced
        self._announce = announce
        self._failed: str | None = None
        self._in_journal = False  # whether the group that is being committed may be replayed from there
        self._condemned: set[str] = set()

    def condemn(self, name: str) -> None:
        """Drop the mirror called `name` with the next commit: its drive is gone. The last one is never dropped."""
        self._condemned.add(name)

    def flush(self, batches: list[Batch]) -> Outcomes:
        """One outcome for each batch: None, or the Conflict, OutOfSpace or Unavailable that stopped it."""
        for _ in range(_ATTEMPTS):
            if self._failed is not None:
                break
            try:
                self._take_note()
                return self._commit_group(batches)
            except MirrorBehind:
                with contextlib.suppress(lmdb.Error, MirrorBehind):  # the next attempt meets what was in the way
                    self._reconcile()
            except lmdb.Error as error:
                if len(self.mirrors) == 1:
                    return [self._explain(error)] * len(batches)
                self._drop(self.mirrors[:1])
        return [Unavailable(self._failed or "metadata mirrors could not be brought together")] * len(batches)

    def _commit_group(self, batches: list[Batch]) -> Outcomes:
        """Raises lmdb.Error or MirrorBehind only while no mirror has committed anything."""
        self._in_journal = False
        txn = self.mirrors[0].environment.begin()
        try:
            self._adopt(txn.mirrors)
            sequence = txn.sequence + 1
            applier = Applier(txn, sequence)
            outcomes: Outcomes = [applier.apply(batch) for batch in batches]
            applier.finish()
            if not applier.changes:
                return outcomes
            redo = encode_redo(applier.changes)
            self._in_journal = self._journal is not None
            written = self._journal.start(sequence, redo) if self._journal is not None else None
            try:
                if len(self.mirrors) == 1 and txn.mirrors == self._mirror_set():
                    txn.finish(sequence, redo)
                    self.mirrors[0].commit_timed(txn)
                else:
                    self._commit_mirrored(txn, applier.changes, sequence, redo)
            finally:
                if written is not None and written.exception() is not None:
                    self.journal_failures += 1  # the names are safe on the mirrors: a new dump mends the journal
        finally:
            txn.abort()  # does nothing after a commit
        return outcomes

    def _commit_mirrored(self, txn: WriteTransaction, changes: Changes, sequence: int, redo: bytes) -> None:
        others = self.mirrors[1:]
        prepared = self._prepare(others, changes, sequence, redo)
        commits = [(mirror, mirror.commit()) for mirror in prepared]
        committed = [mirror for mirror, done in commits if not isinstance(_error(done), (lmdb.Error, TimeoutError))]
        try:
            if len(committed) < len(others):
                self._drop([mirror for mirror in others if mirror not in committed])
            txn.set_mirrors(self._mirror_set())
            txn.finish(sequence, redo)
            self.mirrors[0].commit_timed(txn)
        except lmdb.Error:
            if not committed:
                raise
            self._drop(self.mirrors[:1])  # the others have it: go on with them

    def _prepare(self, others: list[Mirror], changes: Changes, sequence: int, redo: bytes) -> list[Mirror]:
        """The mirrors that are ready to commit; a mirror that is behind undoes the preparation of all."""
        mirror_set = self._mirror_set()
        begun = [Event() for _ in range(len(others) + 1)]
        begun[0].set()
        waits = [
            (mirror, mirror.prepare(changes, sequence, redo, mirror_set, *begun[number : number + 2]))
            for number, mirror in enumerate(others)
        ]
        errors = [(mirror, _error(done)) for mirror, done in waits]
        if any(isinstance(error, MirrorBehind) for _, error in errors):
            for mirror in others:
                mirror.abort()
            raise MirrorBehind
        return [mirror for mirror, error in errors if error is None]

    def _mirror_set(self) -> MirrorSet:
        return MirrorSet(self._epoch, tuple(mirror.name for mirror in self.mirrors))

    def _adopt(self, known: MirrorSet | None) -> None:
        """Follow another worker that has dropped a mirror, or taken one in.

        A set of the same epoch is another worker's that changed it at the same moment: what is in both is kept.
        """
        if known is None or known.epoch < self._epoch or known == self._mirror_set():
            return
        mine = {mirror.name: mirror for mirror in self.mirrors}
        both = [mine[name] for name in known.members if name in mine] if known.epoch == self._epoch else []
        self._epoch = known.epoch
        opened = [mine.get(name) or self._open(name) for name in known.members]
        kept = both or [mirror for mirror in opened if mirror is not None]
        if both or len(kept) < len(opened):
            self._epoch += 1
            self._announce(MirrorSet(self._epoch, tuple(mirror.name for mirror in kept)))
        if self.mirrors[0] not in kept:
            self.mirrors[:] = kept
            raise MirrorBehind
        self.mirrors[:] = kept

    def _open(self, name: str) -> Mirror | None:
        try:
            return self._open_mirror(name) if self._open_mirror is not None else None
        except (lmdb.Error, OSError):
            return None

    def enlist(self, name: str, copy: LmdbEnvironment, catch_up: CatchUp) -> bool:
        """Take in a mirror whose environment `copy` was copied a moment ago; False when it could not be.

        Writers wait while what happened since is applied to it. `catch_up` gives the entries behind a number; the
        last transaction may still be on its way into the journal, so it is taken from the first mirror.
        """
        self._take_note()
        txn = self.mirrors[0].environment.begin()
        try:
            self._adopt(txn.mirrors)
            if any(mirror.name == name for mirror in self.mirrors):
                return False
            newest, redo = txn.sequence, txn.redo
            has = copy.read_state()[0]
            entries = {entry.sequence: entry for entry in catch_up(has)} if has < newest else {}
            if redo and newest > has:
                entries[newest] = JournalEntry(newest, 0, redo)
            wanted = range(has + 1, newest + 1)
            if any(sequence not in entries for sequence in wanted):
                return False
            replay(copy, [entries[sequence] for sequence in wanted])
            self._epoch += 1
            joined = MirrorSet(self._epoch, (*(mirror.name for mirror in self.mirrors), name))
            self._announce(joined)
            self.mirrors.append(Mirror(name, copy))
            self._tell(joined, txn)
        finally:
            txn.abort()
        return True

    def _tell(self, known: MirrorSet, txn: WriteTransaction) -> None:
        """Have every mirror know the set, outside any numbered transaction; the first one's is `txn`."""
        for mirror in self.mirrors[1:]:
            error = _error(mirror.record(known))
            if error is not None:
                raise error
        txn.set_mirrors(known)
        txn.commit()

    @property
    def epoch(self) -> int:
        """Of the set that this process knows."""
        return self._epoch

    def follow(self) -> None:
        """Take note of what others did to the set, and drop what is condemned, although there is nothing to commit."""
        try:
            self._take_note()
            self._record()
        except (MirrorBehind, lmdb.Error, TimeoutError):
            return  # the next commit brings them together, or tries again

    def _record(self) -> None:
        """Tell other processes what was dropped here: without it they would go by the old set until a commit."""
        first = self.mirrors[0].environment
        if (known := first.read_mirrors()) is not None and known.epoch >= self._epoch:
            return
        txn = first.begin()
        try:
            self._adopt(txn.mirrors)
            if txn.mirrors is None or txn.mirrors.epoch < self._epoch:
                self._tell(self._mirror_set(), txn)
        finally:
            txn.abort()

    def _take_note(self) -> None:
        """Before anything is dropped here: what others have dropped, or taken in, is told by any current mirror."""
        if self._to_adopt is not None:
            announced, self._to_adopt = self._to_adopt, None
            self._adopt(announced)
        self._adopt(self._newest_set())
        condemned, self._condemned = self._condemned, set()  # whoever condemns goes on as long as there is a reason
        lost = [mirror for mirror in self.mirrors if mirror.name in condemned]
        if lost and len(lost) < len(self.mirrors):
            self._drop(lost)

    def _newest_set(self) -> MirrorSet | None:
        """The set of the greatest epoch that any mirror has recorded."""
        newest: MirrorSet | None = None
        for mirror in self.mirrors:
            with contextlib.suppress(lmdb.Error):
                known = mirror.environment.read_mirrors()
                if known is not None and (newest is None or known.epoch > newest.epoch):
                    newest = known
        return newest

    def _drop(self, lost: list[Mirror]) -> None:
        self._epoch += 1
        kept = [mirror for mirror in self.mirrors if mirror not in lost]
        self._announce(MirrorSet(self._epoch, tuple(mirror.name for mirror in kept)))
        self.mirrors[:] = kept

    def _explain(self, error: lmdb.Error) -> BaseException:
        if isinstance(error, lmdb.MapFullError) or "No space left" in str(error):
            if self._in_journal:  # from which a recovery would bring it back
                return OutcomeUnknown("no space for metadata")
            return OutOfSpace("no space for metadata")
        self._failed = f"metadata is unusable until restart: {error}"
        return Unavailable(self._failed)

    def _reconcile(self) -> None:
        """Bring mirrors that are one transaction apart together; drop those further behind, or that fail.

        They come apart when a worker is killed between the commits of one transaction, and when the drive of the
        first mirror fails its commit, which is the last.
        """
        with contextlib.suppress(MirrorBehind):
            self._adopt(self._newest_set())
        guard = self.mirrors[0].environment.begin()  # keeps out who has not given up that one
        try:
            states = [(mirror, *mirror.environment.read_state()) for mirror in self.mirrors]
            if self._is_outdated():
                return
            newest = max(sequence for _, sequence, _, _ in states)
            redo = next(changes for _, sequence, _, changes in states if sequence == newest)
            behind = [(mirror, sequence) for mirror, sequence, _, _ in states if sequence < newest]
            lost = [mirror for mirror, sequence in behind if sequence < newest - 1 or not redo]
            for mirror, _ in behind:
                try:
                    if mirror not in lost:
                        self._replay(mirror, guard, redo, newest)
                except lmdb.Error:
                    lost.append(mirror)  # never the newest, so that one is always kept
            if lost:
                self._drop(lost)
        finally:
            guard.abort()

    def _is_outdated(self) -> bool:
        """Whether a process that knows a newer set has committed: what was read before may be of several moments."""
        known = self._newest_set()
        return known is not None and known.epoch >= self._epoch and known != self._mirror_set()

    def _replay(self, mirror: Mirror, guard: WriteTransaction, redo: Changes, sequence: int) -> None:
        encoded = encode_redo(redo)
        if mirror is self.mirrors[0]:
            for place, stored in redo.items():
                guard.write(place, stored)
            guard.finish(sequence, encoded)
            guard.commit()
            return
        at_once = Event()
        at_once.set()
        mirror.prepare(redo, sequence, encoded, self._mirror_set(), at_once, Event()).result()
        mirror.commit().result()


def _error(done: "Future[None]") -> BaseException | None:
    """How it ended; a TimeoutError when it has not ended in time: its drive hangs."""
    try:
        return done.exception(MIRROR_PATIENCE_S)
    except TimeoutError as error:
        return error
