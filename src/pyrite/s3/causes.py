"""Owns telling who caused an event."""

from pyrite.objects.events import Cause
from pyrite.s3.request import S3Request


def cause_of(request: S3Request, event: str) -> Cause:
    """The cause that a request is."""
    caller = request.caller
    principal = caller.id or caller.owner or "Anonymous"
    return Cause(event, principal, request.http.peer, request.id)
