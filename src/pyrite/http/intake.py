"""Owns when a connection receives: not while a body's buffer is full, nor while too much waits for its turn."""

import asyncio


class Intake:
    """The receiving side of one transport, as its bodies and its connection pause it (`http.body.Wire`)."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._held = False

    def attach(self, transport: asyncio.Transport) -> None:
        """Receive from `transport` from now on."""
        self._transport = transport

    def send_continue(self) -> None:
        """Tell the client to send the body (RFC 9110 section 10.1.1)."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def pause(self) -> None:
        """Stop receiving."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Receive again, unless what is kept for later requests is too much."""
        if self._held:
            return
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def hold(self) -> None:
        """Stop receiving until `release`: what is kept for later requests is too much."""
        if not self._held:
            self._held = True
            self.pause()

    def release(self) -> None:
        """Receive again after `hold`."""
        if self._held:
            self._held = False
            self.resume()

    def let_in(self) -> None:
        """Receive whatever comes: nobody keeps it any more."""
        self._held = False
        self.resume()
