"""Unit tests of the limits of notifications."""

import pytest

from pyrite.aws import xml
from pyrite.objects import events
from pyrite.objects.errors import BadNotification
from pyrite.objects.events import EVENTS_MAX, parse


def configured(*names: str) -> xml.Element:
    listed = "".join(f"<Event>{name}</Event>" for name in names)
    queue = f"<QueueConfiguration><Queue>arn:aws:sqs:us-east-1::q</Queue>{listed}</QueueConfiguration>"
    return xml.parse(f"<NotificationConfiguration>{queue}</NotificationConfiguration>".encode())


def test_more_events_than_there_are() -> None:
    """A configuration of very many events is refused before they are compared."""
    with pytest.raises(BadNotification):
        parse(configured(*(f"s3:Thing:{n}" for n in range(EVENTS_MAX + 1))))


def test_equal_events_are_one() -> None:
    """An event that is named often is one, however often that is."""
    (one,) = parse(configured(*["s3:ObjectCreated:Put"] * 5000))
    assert one.events == ("s3:ObjectCreated:Put",)


def test_too_many_events_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused for its number costs nothing more."""
    monkeypatch.setattr(events, "_is_among", lambda *_: pytest.fail("an event is compared"))
    with pytest.raises(BadNotification):
        parse(configured(*(f"s3:Thing:{n}" for n in range(EVENTS_MAX + 1))))
