"""Processes that die are started again, later and later where they die early."""

from pyrite.node.restarts import LIVED_S, PAUSE_MAX_S, PAUSE_S, Restarts


def test_a_process_that_dies_at_once_is_started_later_and_later() -> None:
    """The pause doubles up to its limit, and is the shortest again once a process has lived for long."""
    restarts, now_s, pauses = Restarts(), 0.0, []
    for _ in range(12):
        restarts.began("worker-0", now_s)
        pauses.append(restarts.died("worker-0", now_s + 1))
        now_s += 1 + pauses[-1]
    assert pauses[:3] == [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S]
    assert pauses == sorted(pauses) and pauses[-1] == PAUSE_MAX_S
    restarts.began("worker-0", now_s)
    assert restarts.died("worker-0", now_s + LIVED_S) == PAUSE_S


def test_processes_are_due_each_in_its_time() -> None:
    """A process that waits holds up no other one, and nobody waits longer than for the next that is due."""
    restarts = Restarts()
    assert not restarts.waiting and restarts.until_due(0.0, 1.0) == 1.0
    for _ in range(4):
        restarts.began("worker-0", 0.0)
        restarts.died("worker-0", 0.0)
    restarts.began("worker-1", 0.0)
    restarts.died("worker-1", 0.0)
    assert restarts.due(PAUSE_S) == ["worker-1"] and restarts.until_due(0.0, 1.0) == PAUSE_S
    restarts.began("worker-1", PAUSE_S)
    assert restarts.due(PAUSE_S) == [] and restarts.until_due(PAUSE_S, 1.0) == 1.0
    assert restarts.due(8 * PAUSE_S) == ["worker-0"] and restarts.until_due(60.0, 1.0) == 0.0
