"""Unit tests of a connection's intake."""

from typing import Any

import pytest

from pyrite.http.intake import Intake


class FakeTransport:
    """Remembers whether it is read from, and what was written."""

    def __init__(self) -> None:
        self.reading = True
        self.closing = False
        self.written = b""

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
def intake(transport: Any) -> Intake:
    made = Intake()
    made.attach(transport)
    return made


def test_what_is_held_does_not_resume_for_a_body(intake: Intake, transport: FakeTransport) -> None:
    """A body that is read meanwhile does not let more requests in; the end of the hold does."""
    intake.hold()
    intake.hold()
    assert not transport.reading
    intake.resume()
    assert not transport.reading
    intake.release()
    assert transport.reading


def test_a_release_without_hold_leaves_a_paused_body_alone(intake: Intake, transport: FakeTransport) -> None:
    """Only who was held is let go: a pause of the body stays."""
    intake.pause()
    intake.release()
    assert not transport.reading
    intake.resume()
    assert transport.reading


def test_a_closing_transport_is_left_alone(intake: Intake, transport: FakeTransport) -> None:
    """Nothing is asked of a transport that closes."""
    intake.send_continue()
    assert transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    transport.closing = True
    for act in (intake.send_continue, intake.pause, intake.hold, intake.release, intake.resume):
        act()
    assert transport.reading and transport.written.count(b"100") == 1
