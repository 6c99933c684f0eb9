"""Owns sending the audit log on, to a webhook or to Kafka: in order for each chain, at least once. It is the queue."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pyrite.core.errors import PyriteError
from pyrite.core.units import KIB
from pyrite.http.outbound import Outbound, OutboundError
from pyrite.metadata.keyspaces import STORE
from pyrite.metadata.kv import Batch, Engine, decode_counter, encode_counter
from pyrite.node import kafka
from pyrite.telemetry.audit import chains_in

BATCH_MAX_BYTES = 256 * KIB
TOPIC = "pyrite-audit"
_SHIPPED = STORE + b"audit-shipped/"
_ANYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


class _Numbered(msgspec.Struct):
    number: int


_decode = msgspec.json.Decoder(_Numbered).decode


class _Webhook:
    """Takes lines of JSON; the operator names it, so no guard."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/x-ndjson"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._outbound = Outbound(_ANYWHERE)

    async def take(self, slot: str, lines: list[bytes]) -> None:
        """Raises OutboundError."""
        await self._outbound.post(self._url, self._headers, b"".join(lines))


class _Kafka:
    """Takes each record as a message, with the name of its chain as its key."""

    def __init__(self, url: str) -> None:
        self._url = kafka.parse(url)
        self._producer: kafka.KafkaProducer | None = None

    async def take(self, slot: str, lines: list[bytes]) -> None:
        """Raises KafkaError."""
        producer = self._producer or await kafka.KafkaProducer.connect(self._url)
        self._producer = None
        try:
            await producer.send(self._url.topic or TOPIC, [(slot.encode(), line.rstrip(b"\n")) for line in lines])
        except kafka.KafkaError:
            await producer.close()
            raise
        self._producer = producer


class AuditShipper:
    """Sends the records of every chain in `folder` to `url`, of a webhook or of Kafka."""

    def __init__(self, engine: Engine, folder: Path, url: str, token: str) -> None:
        self._engine = engine
        self._folder = folder
        self._sink = _Kafka(url) if url.startswith("kafka") else _Webhook(url, token)
        self._offsets: dict[int, int] = {}
        self.reason = ""

    async def step(self) -> bool:
        """Send some of what was not sent yet; whether there is more."""
        more = False
        for slot, files in chains_in(self._folder).items():
            key = _SHIPPED + slot.encode()
            entry = await self._engine.get(key)
            shipped = decode_counter(entry.value if entry is not None else None)
            lines, last, offsets = _gather(files, shipped, self._offsets)
            if not lines:
                self._offsets.update(offsets)
                continue
            try:
                await self._sink.take(slot, lines)
                self.reason = ""
            except (OutboundError, kafka.KafkaError) as error:
                self.reason = str(error)
                raise
            batch = Batch()
            batch.put(key, encode_counter(last))
            await self._engine.commit(batch)
            self._offsets.update(offsets)
            more = more or sum(map(len, lines)) >= BATCH_MAX_BYTES
        return more


def _gather(files: list[Path], shipped: int, known: dict[int, int]) -> tuple[list[bytes], int, dict[int, int]]:
    """Lines of the records behind number `shipped`, the last one's number, and how far each file has been read."""
    lines: list[bytes] = []
    last, size, offsets = shipped, 0, dict[int, int]()
    for path in files:
        try:
            with path.open("rb") as file:
                inode = path.stat().st_ino
                file.seek(known.get(inode, 0))
                for line, number, end in _whole_lines(file.read(4 * BATCH_MAX_BYTES), known.get(inode, 0)):
                    if size >= BATCH_MAX_BYTES:
                        break
                    offsets[inode] = end
                    if number > shipped:
                        lines.append(line)
                        last, size = number, size + len(line)
        except OSError as error:
            raise PyriteError(f"the audit log {path} cannot be read: {error}") from error
    return lines, last, offsets


def _whole_lines(block: bytes, offset: int) -> Iterator[tuple[bytes, int, int]]:
    """Each whole line of a block with its record's number and where it ends in the file."""
    for line in block.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return  # it is still being written
        offset += len(line)
        try:
            yield line, _decode(line).number, offset
        except msgspec.DecodeError:
            continue  # cut off by a crash
