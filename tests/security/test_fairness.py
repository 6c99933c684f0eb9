"""One honest client beside two hundred hostile ones, on a server of one worker: it is served, whatever they do.

Its latencies, with and without them, are printed and never asserted (`pytest -rP` shows them). Asserted is that all its
requests succeed, that the server tells its health, that no process of it was killed, and that its memory is bounded.
`FAIRNESS_ROUNDS=50` has the honest client go through its requests so many times.
"""

import asyncio
import multiprocessing
import os
import random
import re
import socket
import struct
import threading
import time
import traceback
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvloop
from botocore.exceptions import ClientError

from pyrite.core.units import KIB, MIB
from pyrite.query.processes import installed
from tests.security.people import allow, as_, document
from tests.security.wire import Wire
from tests.server import ACCESS_KEY, SECRET_KEY, Server, wait_until

CLIENTS = 200
ROUNDS = int(os.environ.get("FAIRNESS_ROUNDS", "0"))
TRIES_MAX = 6
FAILURES_MAX = 3
"""After so many failures the honest client gives up."""
CLIENT_TIMEOUT_S = 100
"""What an SDK waits for an answer, with room for a slow machine: who waits longer has not been served."""
GROWTH_MAX_BYTES = 400 * MIB
OWN, HONEST = "hostile", "honest"
ROOT = as_(ACCESS_KEY, SECRET_KEY)
SMALL, MIDDLE, LARGE, HUGE = 4 * KIB, 2 * MIB, 8 * MIB, 32 * MIB
KEYS = 10_000
PRESIGNED_S = 3600


# ---- the hostile clients, in a process of their own


class Gone(Exception):
    """The server has ended a connection."""


class Line:
    """A connection of a hostile client; `seen` counts what the server does with it."""

    def __init__(self, port: int, seen: Counter[str], window: int | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._port = port
        self.seen = seen
        self._read = b""
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if window is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)

    async def open(self) -> None:
        await self._loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        self.seen["connections"] += 1

    def close(self, reset: bool = False) -> None:
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def some(self) -> bytes:
        """Whatever comes next. Raises Gone."""
        data = await self._loop.sock_recv(self._socket, 256 * KIB)
        if not data:
            raise Gone
        return data

    async def answer(self) -> int:
        """The status of the next answer, which is read to its end. Raises Gone when no other follows it."""
        while b"\r\n\r\n" not in self._read:
            self._read += await self.some()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        status = int(head[9:12])
        self.seen[str(status)] += 1
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        left = int(length[1]) if length else 0
        while left > len(self._read):
            left -= len(self._read)
            self._read = await self.some()
        self._read = self._read[left:]
        if re.search(rb"(?i)\r\n(connection: *close|transfer-encoding)", head):
            raise Gone
        return status

    async def until_closed(self) -> None:
        """Read what comes until the server ends it. Raises Gone."""
        while True:
            self.hear(await self.some())

    def hear(self, data: bytes) -> None:
        """Count the answers in `data`, which are all short."""
        for status in re.findall(rb"HTTP/1\.1 (\d{3})", data):
            self.seen[status.decode()] += 1

    def peek(self) -> None:
        """Count the answer of which the beginning is here."""
        with suppress(BlockingIOError):
            self.hear(self._socket.recv(64))

    async def trickle(self, pieces: Iterator[bytes], pause_s: float) -> None:
        """Send a piece now and then until the server answers. Raises Gone."""
        hearing = asyncio.create_task(self.until_closed())
        try:
            for piece in pieces:
                await self.send(piece)
                done, _ = await asyncio.wait((hearing,), timeout=pause_s)
                if done:
                    hearing.result()
        finally:
            hearing.cancel()


class Kind:
    """A kind of hostile client. Where nothing else is said it sends one request after the other as fast as it can."""

    name = ""
    expects: tuple[int, ...] = ()
    """One of these the server has to answer, or it was not asked for what is meant here."""
    window: int | None = None
    rounds = 10
    """How often the honest client goes through its requests beside it."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def declare(self, folder: Path) -> tuple[str, ...]:
        """The options that the server needs for it."""
        return ()

    def prepare(self, server: Server) -> None:
        """Make what it needs; the bucket OWN is there."""

    def is_met(self, seen: Counter[str]) -> bool:
        """Whether the server has answered what it is expected to."""
        return any(seen[str(status)] for status in self.expects)

    async def attack(self, line: Line, number: int) -> None:
        """What the client of this number does with a connection, again and again."""
        for turn in count(number):
            await line.send(self.requests[turn % len(self.requests)])
            await line.answer()


def besiege(kind: Kind, port: int, pipe: Connection) -> None:
    """Run the clients until told to end; then tell what they have seen."""
    try:
        seen: Counter[str] = Counter()
        uvloop.run(_siege(kind, port, pipe, seen))
        pipe.send(dict(seen))
    except BaseException:
        traceback.print_exc()
        os._exit(1)


async def _siege(kind: Kind, port: int, pipe: Connection, seen: Counter[str]) -> None:
    begun: set[int] = set()
    end = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), end.set)
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(_client(kind, port, number, seen, begun)) for number in range(CLIENTS)]
        while len(begun) < CLIENTS and not end.is_set():
            await asyncio.sleep(0.05)
        pipe.send("begun")
        await end.wait()
        for _ in range(300):  # the honest client may be done before the first of them has been answered
            if not kind.expects or kind.is_met(seen):
                break
            await asyncio.sleep(0.1)
        for client in clients:
            client.cancel()


async def _client(kind: Kind, port: int, number: int, seen: Counter[str], begun: set[int]) -> None:
    while True:
        line = Line(port, seen, kind.window)
        try:
            await line.open()
            begun.add(number)
            await kind.attack(line, number)
        except (OSError, Gone) as error:
            seen["ended by the server" if isinstance(error, Gone) else type(error).__name__] += 1
            await asyncio.sleep(0.01)
        finally:
            line.close()


@contextmanager
def siege(kind: Kind, server: Server) -> Iterator[Counter[str]]:
    """Hostile clients at work; what they have seen is there when they have ended."""
    seen: Counter[str] = Counter()
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=besiege, args=(kind, server.port, there), daemon=True)
    process.start()
    there.close()
    try:
        assert wait_until(partial(here.poll, 0)) and here.recv() == "begun"
        yield seen
        assert process.is_alive(), "the hostile clients have ended before the honest one"
        here.send("end")
        assert wait_until(partial(here.poll, 0))
        seen.update(here.recv())
        process.join(60)
    finally:
        process.kill()


# ---- the honest client


class Asked(NamedTuple):
    """A request that was made: how long it took until it succeeded, and how often it was told to slow down."""

    operation: str
    seconds: float
    slowed: int


class Honest:
    """A client that writes, reads and lists, and makes sure of what it gets."""

    def __init__(self, server: Server) -> None:
        self._s3 = server.client(
            retries={"total_max_attempts": 1}, connect_timeout=CLIENT_TIMEOUT_S, read_timeout=CLIENT_TIMEOUT_S
        )
        self._rng = random.Random(5)
        self._large = self._rng.randbytes(LARGE)
        self.failures: list[str] = []

    def prepare(self) -> None:
        self._s3.create_bucket(Bucket=HONEST)
        self._s3.put_object(Bucket=HONEST, Key="large", Body=self._large)

    def rounds(self, number: int) -> list[Asked]:
        """So many rounds of its requests. Those that fail are in `failures`."""
        asked = []
        for _ in range(number):
            small, middle = self._rng.randbytes(SMALL), self._rng.randbytes(MIDDLE)
            for operation, call in (
                ("PUT 4 KiB", partial(self._put, "small", small)),
                ("GET 4 KiB", partial(self._get, "small", small)),
                ("GET 8 MiB", partial(self._get, "large", self._large)),
                ("PUT 2 MiB", partial(self._put, "middle", middle)),
                ("LIST", self._list),
            ):
                if len(self.failures) < FAILURES_MAX:
                    asked += self._ask(operation, call)
        return asked

    def _put(self, key: str, data: bytes) -> None:
        self._s3.put_object(Bucket=HONEST, Key=key, Body=data)

    def _get(self, key: str, data: bytes) -> None:
        assert self._s3.get_object(Bucket=HONEST, Key=key)["Body"].read() == data, f"{key} has changed"

    def _list(self) -> None:
        found = [one["Key"] for one in self._s3.list_objects_v2(Bucket=HONEST)["Contents"]]
        assert found == ["large", "middle", "small"], found

    def _ask(self, operation: str, call: Callable[[], None]) -> list[Asked]:
        """Make a request, again where it is told to slow down, as SDKs do."""
        begun = time.perf_counter()
        for attempt in range(TRIES_MAX):
            try:
                call()
                return [Asked(operation, time.perf_counter() - begun, attempt)]
            except ClientError as error:
                if error.response["Error"]["Code"] != "SlowDown" or attempt + 1 == TRIES_MAX:
                    self.failures.append(f"{operation}, attempt {attempt + 1}: {error}")
                    break
            except Exception as error:
                self.failures.append(f"{operation}, after {time.perf_counter() - begun:.1f} s: {error!r}")
                break
            threading.Event().wait(self._rng.random() * min(2**attempt, 20))  # as botocore does
        return []


class Health:
    """Asks the server again and again how it is."""

    def __init__(self, server: Server) -> None:
        self._endpoint = server.endpoint
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.failures: list[str] = []
        self.longest_s = 0.0
        self.asked = self.unready = 0

    def _watch(self) -> None:
        while not self._end.wait(0.1):
            for path in ("/health/live", "/health/ready"):
                begun = time.perf_counter()
                try:
                    with urllib.request.urlopen(self._endpoint + path, timeout=CLIENT_TIMEOUT_S) as answer:
                        answer.read()
                except urllib.error.HTTPError as error:
                    text = error.read().decode()
                    self.unready += 1
                    if path != "/health/ready" or not text.startswith("requests wait for buffers"):
                        self.failures.append(f"{path}: {error.code} {text}")
                except OSError as error:
                    self.failures.append(f"{path}: {error!r}")
                self.longest_s = max(self.longest_s, time.perf_counter() - begun)
                self.asked += 1

    def __enter__(self) -> "Health":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(CLIENT_TIMEOUT_S + 10)


def memory(pid: int, field: str) -> int:
    """The VmRSS or VmHWM of a process in bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * KIB


def of_all(server: Server, field: str) -> dict[int, int]:
    """The memory of each process of the server: one that is gone has none."""
    found = {}
    for pid in server.children():
        with suppress(OSError, AssertionError):
            found[pid] = memory(pid, field)
    return found


def of_hundred(asked: list[Asked], percent: float) -> float:
    """The latency in milliseconds below which so many of a hundred requests are; of few, the largest."""
    times = sorted(one.seconds * 1000 for one in asked)
    return times[min(int(len(times) * percent / 100), len(times) - 1)] if times else float("nan")


def table(name: str, without: list[Asked], beside: list[Asked]) -> str:
    """The latencies of the honest client without and beside hostile ones."""
    lines = [f"{name}: {len(beside)} requests"]
    for operation in ("all", *dict.fromkeys(one.operation for one in without)):
        rows = [[one for one in of if operation in ("all", one.operation)] for of in (without, beside)]
        told = []
        for label, percent in (("p50", 50), ("p99", 99)):
            before, after = (of_hundred(of, percent) for of in rows)
            told.append(f"{label} {before:.1f} -> {after:.1f} ms ({after / before:.1f})")
        lines.append(f"  {operation:10} {', '.join(told)}, SlowDown {sum(one.slowed for one in rows[1])}")
    return "\n".join(lines)


# ---- kinds


def head(method: str, target: str, *fields: str, length: int | None = None) -> bytes:
    """The head of a request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *fields]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join((*lines, "", "")).encode()


def presigned(server: Server, method: str, target: str, body: bytes | None = None, length: int | None = None) -> bytes:
    """A request by a presigned URL, with a body or with the head of one of this length."""
    wire = Wire(server.endpoint)
    size = len(body) if body is not None else length
    raw = head(method, wire.presign(ROOT, method, target, expires_s=PRESIGNED_S), length=size)
    return raw.replace(b"Host: 127.0.0.1", b"Host: " + wire.host.encode(), 1) + (body or b"")


def let_everybody(s3: Any, action: str) -> None:
    """Have the hostile bucket let everybody do something to its objects."""
    put_policy(s3, allow(action, f"arn:aws:s3:::{OWN}/*", Principal="*"))


def put_policy(s3: Any, *statements: dict[str, object]) -> None:
    """Give the hostile bucket a policy, which may let everybody in."""
    with suppress(ClientError):
        s3.delete_public_access_block(Bucket=OWN)
    s3.put_bucket_policy(Bucket=OWN, Policy=document(*statements))


class IdleSockets(Kind):
    name = "idle sockets"
    rounds = 40

    async def attack(self, line: Line, number: int) -> None:
        await line.until_closed()


class HalfHeads(Kind):
    name = "half heads"
    rounds = 40

    async def attack(self, line: Line, number: int) -> None:
        await line.send(head("GET", "/", "X-Long: " + "a" * 60_000)[:-2])
        await line.until_closed()


class SlowHeads(Kind):
    name = "slow heads"
    rounds = 40

    async def attack(self, line: Line, number: int) -> None:
        raw = head("GET", "/", "X-Long: " + "a" * 60_000)
        await line.trickle((raw[at : at + 1] for at in range(len(raw))), 0.05)


class SlowBodies(Kind):
    name = "slow bodies"
    rounds = 4

    def prepare(self, server: Server) -> None:
        self.requests = [presigned(server, "PUT", f"/{OWN}/{n}", length=MIDDLE) for n in range(CLIENTS)]

    async def attack(self, line: Line, number: int) -> None:
        await line.send(self.requests[number])
        await line.trickle((bytes(512) for _ in range(MIDDLE // 512)), 0.5)


class SlowReaders(Kind):
    name = "slow readers"
    rounds = 4
    window = 4 * KIB
    held_s = 6.0
    """A client with a full window does not learn that it was ended; so it comes again and again."""

    def prepare(self, server: Server) -> None:
        server.client().put_object(Bucket=OWN, Key="huge", Body=bytes(HUGE))
        self.requests = [presigned(server, "GET", f"/{OWN}/huge")]

    async def attack(self, line: Line, number: int) -> None:
        await line.send(self.requests[number % len(self.requests)])
        await asyncio.sleep(self.held_s * (0.5 + number / CLIENTS))
        line.peek()
        line.close(reset=True)


class BrokenBodies(Kind):
    name = "broken bodies"

    def prepare(self, server: Server) -> None:
        self.requests = [presigned(server, "PUT", f"/{OWN}/{n}", length=MIDDLE) for n in range(CLIENTS)]

    async def attack(self, line: Line, number: int) -> None:
        await line.send(self.requests[number])
        await line.send(bytes(random.randrange(MIDDLE)))
        line.close(reset=number % 2 == 0)


class Pipelined(Kind):
    """Requests of which hundreds fit into what the server receives at once; every third client sends one kind."""

    name = "pipelined requests"
    expects = (200, 403)

    def prepare(self, server: Server) -> None:
        server.client().put_object(Bucket=OWN, Key="small", Body=b"x")
        wire = Wire(server.endpoint)
        signed = [
            f"{name}: {value}" for name, value in wire.sign(ROOT, "GET", f"/{OWN}/small").items() if name != "Host"
        ]
        quick = head("GET", f"/{OWN}/small", *signed).replace(b"127.0.0.1", wire.host.encode(), 1)
        each = (head("GET", "/health/live"), head("GET", f"/{OWN}/small"), quick)
        self.requests = [request * (256 * KIB // len(request)) for request in each]

    async def attack(self, line: Line, number: int) -> None:
        hearing = asyncio.create_task(line.until_closed())
        try:
            while not hearing.done():
                await line.send(self.requests[number % 3])
            hearing.result()
        finally:
            hearing.cancel()


class BadSignatures(Kind):
    """Long Authorization headers, each another: of a key that there is, of one that there is not, and of forms."""

    name = "bad signatures"
    expects = (400, 403)

    async def attack(self, line: Line, number: int) -> None:
        for turn in count():
            key = (ACCESS_KEY, f"nobody{turn}")[turn % 2]
            names = ";".join(f"{n:03}-{number}-{turn}-".ljust(280, "a") for n in range(190))
            scope = f"Credential={key}/20260101/us-east-1/s3/aws4_request"
            claim = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders={names};host, Signature={turn:064x}"
            now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            fields = (f"Authorization: {claim.replace('20260101', now[:8])}", f"X-Amz-Date: {now}")
            await line.send(head("GET", f"/{OWN}/small", *fields, "X-Amz-Content-SHA256: UNSIGNED-PAYLOAD"))
            await line.answer()


class PresignedNames(Kind):
    name = "presigned URLs of many names"
    expects = (400, 403)

    async def attack(self, line: Line, number: int) -> None:
        for turn in count():
            now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            names = "%3B".join(f"{n:03}-{number}-{turn}-".ljust(70, "a") for n in range(190))
            query = (
                f"X-Amz-Algorithm=AWS4-HMAC-SHA256"
                f"&X-Amz-Credential={ACCESS_KEY}%2F{now[:8]}%2Fus-east-1%2Fs3%2Faws4_request"
                f"&X-Amz-Date={now}&X-Amz-Expires=3600"
                f"&X-Amz-SignedHeaders={names}%3Bhost&X-Amz-Signature={turn:064x}"
            )
            await line.send(head("GET", f"/{OWN}/small?{query}"))
            await line.answer()


class QueryCalls(Kind):
    name = "calls of IAM with ://"
    expects = (400, 403)

    def prepare(self, server: Server) -> None:
        body = b"Action=ListUsers&Version=2010-05-08&A=" + b"://" * (500_000 // 3)
        form = "Content-Type: application/x-www-form-urlencoded"
        self.requests = [head("POST", "/", form, length=len(body)) + body]


class CostlyPolicies(Kind):
    """DeleteObjects by anybody, under the own policy of the bucket that looks at a long Referer."""

    name = "costly policies"
    rounds = 4
    patterns = ("*" + "a" * 19 + "b",) * 190
    fields: tuple[str, ...] = ("Referer: " + "a" * 2048,)

    def prepare(self, server: Server) -> None:
        condition = {"StringLike": {"aws:Referer": list(self.patterns)}}
        deny = allow("s3:DeleteObject", f"arn:aws:s3:::{OWN}/*", "Deny", Principal="*", Condition=condition)
        put_policy(server.client(), allow("s3:DeleteObject", f"arn:aws:s3:::{OWN}/*", Principal="*"), deny)
        keys = "".join(f"<Object><Key>{n}</Key></Object>" for n in range(1000))
        body = f"<Delete><Quiet>true</Quiet>{keys}</Delete>".encode()
        self.requests = [head("POST", f"/{OWN}?delete", *self.fields, length=len(body)) + body]


class CostlyVariables(CostlyPolicies):
    """As before; the text behind the stars comes from the request."""

    name = "policies with variables"
    rounds = 10
    patterns = ("*${aws:UserAgent}x",) * 200
    fields = ("Referer: " + "a" * 2048, "User-Agent: " + "a" * 2000)


class Preflights(Kind):
    """Preflight requests of a hundred headers, of which the largest configuration allows none."""

    name = "preflights"
    expects = (403,)

    def prepare(self, server: Server) -> None:
        names = [f"*{n}" for n in range(100)]
        rule = {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"], "AllowedHeaders": names}
        server.client().put_bucket_cors(Bucket=OWN, CORSConfiguration={"CORSRules": [rule] * 18})
        asked = ",".join(f"{n:03}".ljust(600, "a") for n in range(100))
        fields = ("Origin: http://a", "Access-Control-Request-Method: GET", f"Access-Control-Request-Headers: {asked}")
        self.requests = [head("OPTIONS", f"/{OWN}/k", *fields)]


class Lists(Kind):
    """Lists of a bucket of many keys with a delimiter: of folders of one key each, and of one that holds all."""

    name = "lists"
    expects = (200,)

    def prepare(self, server: Server) -> None:
        let_everybody(server.client(), "s3:PutObject")
        asyncio.run(fill(server.port))
        targets = ("delimiter=0", "delimiter=%2F", "versions&delimiter=0", "list-type=2&delimiter=9&prefix=a%2F")
        self.requests = [presigned(server, "GET", f"/{OWN}?{target}") for target in targets]


async def fill(port: int) -> None:
    """Put KEYS small objects, by some clients at once."""
    numbers = iter(range(KEYS))

    async def put() -> None:
        line = Line(port, Counter(), None)
        await line.open()
        for number in numbers:
            await line.send(head("PUT", f"/{OWN}/a/{number:05}0", length=1) + b"x")
            assert await line.answer() == 200
        line.close()

    await asyncio.gather(*(put() for _ in range(50)))


class Queries(SlowReaders):
    """Queries whose records nobody takes."""

    name = "queries with slow readers"
    rounds = 40
    expects = (200, 503)

    def prepare(self, server: Server) -> None:
        server.client().put_object(Bucket=OWN, Key="csv", Body=b"one,two,three,four\n" * (LARGE // 19))
        body = (
            b"<SelectObjectContentRequest><Expression>SELECT * FROM S3Object</Expression>"
            b"<ExpressionType>SQL</ExpressionType><InputSerialization><CSV/></InputSerialization>"
            b"<OutputSerialization><CSV/></OutputSerialization></SelectObjectContentRequest>"
        )
        self.requests = [presigned(server, "POST", f"/{OWN}/csv?select&select-type=2", body)]


class Functions(SlowReaders):
    """Functions whose answers nobody takes."""

    name = "functions with slow readers"
    rounds = 40
    expects = (200, 503)

    def declare(self, folder: Path) -> tuple[str, ...]:
        (folder / "f.py").write_text("def transform(source, call):\n    return source\n")
        (folder / "functions.toml").write_text('[[function]]\nname = "same"\nkind = "python"\nfile = "f.py"\n')
        return ("--functions", str(folder / "functions.toml"))

    def prepare(self, server: Server) -> None:
        server.client().put_object(Bucket=OWN, Key="huge", Body=bytes(HUGE))
        arn = "arn%3Aaws%3As3-object-lambda%3A%3Asame%3Awebhook"
        self.requests = [presigned(server, "GET", f"/{OWN}/huge?lambdaArn={arn}")]


class Listeners(Kind):
    name = "listeners"
    rounds = 40
    expects = (200,)

    def prepare(self, server: Server) -> None:
        self.requests = [presigned(server, "GET", f"/{OWN}?events=s3%3AObjectCreated%3A%2A")]

    async def attack(self, line: Line, number: int) -> None:
        await line.send(self.requests[0])
        line.hear(await line.some())
        line.close(reset=number % 2 == 0)


class Uploads(Kind):
    """Uploads begun, with a part each, and left open."""

    name = "uploads left open"
    rounds = 40
    expects = (200,)

    def prepare(self, server: Server) -> None:
        let_everybody(server.client(), "s3:PutObject")

    async def attack(self, line: Line, number: int) -> None:
        while True:
            await line.send(head("POST", f"/{OWN}/{number}?uploads", length=0))
            answer = b""
            while b"</InitiateMultipartUploadResult>" not in answer:
                answer += await line.some()
            line.hear(answer)
            found = re.search(rb"<UploadId>([^<]+)", answer)
            assert found is not None
            part = bytes(64 * KIB)
            target = f"/{OWN}/{number}?partNumber=1&uploadId={found[1].decode()}"
            await line.send(head("PUT", target, length=len(part)) + part)
            await line.answer()


def full(text: str, content: str, most: int, elements: int = 99_000) -> bytes:
    """A document `text % contents` of as many `content` as there may be, blanks to its greatest length."""
    body = text % (content * min(elements // content.count("</"), (most - len(text)) // len(content)))
    return body.ljust(most).encode()


class Documents(Kind):
    """XML of the greatest length, and of as many elements as there may be."""

    name = "largest documents"
    expects = (200, 400, 404)

    def prepare(self, server: Server) -> None:
        let_everybody(server.client(), "s3:DeleteObject")
        uploaded = server.client().create_multipart_upload(Bucket=OWN, Key="u")["UploadId"]
        part = "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>"
        tag, rule = "<Tag><Key>a</Key><Value>b</Value></Tag>", "<Rule><ID>a</ID><Status>Enabled</Status></Rule>"
        one = "<Object><Key>a</Key></Object>"
        delete = full("<Delete>%s</Delete>", one, 2 * MIB)
        complete = full("<CompleteMultipartUpload>%s</CompleteMultipartUpload>", part, 4 * MIB)
        tagging = full("<Tagging><TagSet>%s</TagSet></Tagging>", tag, 2 * MIB)
        lifecycle = full("<LifecycleConfiguration>%s</LifecycleConfiguration>", rule, 512 * KIB)
        self.requests = [
            head("POST", f"/{OWN}?delete", length=len(delete)) + delete,  # by anybody
            presigned(server, "POST", f"/{OWN}/u?uploadId={uploaded}", complete),
            presigned(server, "PUT", f"/{OWN}?tagging", tagging),
            presigned(server, "PUT", f"/{OWN}?lifecycle", lifecycle),
        ]


class HeldDocuments(Kind):
    """Documents of the greatest length that hardly come to an end, every other one by nobody that is known."""

    name = "documents that never end"
    rounds = 40

    def prepare(self, server: Server) -> None:
        uploaded = server.client().create_multipart_upload(Bucket=OWN, Key="u")["UploadId"]
        complete = presigned(server, "POST", f"/{OWN}/u?uploadId={uploaded}", length=4 * MIB)
        begun = ((complete, 4 * MIB), (head("POST", f"/{OWN}?delete", length=2 * MIB), 2 * MIB))
        self.requests = [request + b" " * (size - 64 * KIB) for request, size in begun]

    async def attack(self, line: Line, number: int) -> None:
        await line.send(self.requests[number % 2])
        await line.trickle((b" " * 64 for _ in range(KIB)), 0.5)


KINDS: tuple[type[Kind], ...] = (
    IdleSockets, HalfHeads, SlowHeads, SlowBodies, SlowReaders, BrokenBodies, Pipelined, BadSignatures, PresignedNames,
    QueryCalls, CostlyPolicies, CostlyVariables, Preflights, Lists, Queries, Functions, Listeners, Uploads, Documents,
    HeldDocuments,
)  # fmt: skip
BY_DEFAULT = (SlowReaders, SlowBodies, CostlyPolicies)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(one, id=one.name, marks=() if one in BY_DEFAULT else pytest.mark.long) for one in KINDS],
)
def test_an_honest_client_is_served(kind: type[Kind], tmp_path: Path) -> None:
    """Beside two hundred clients of one hostile kind, an honest one is served and no process dies or grows for ever."""
    if kind is Queries and not installed():
        pytest.skip("the extra `select` is not installed")
    hostile = kind()
    with Server([tmp_path / "drive"], "--workers", "1", *hostile.declare(tmp_path)) as server:
        server.client().create_bucket(Bucket=OWN)
        hostile.prepare(server)
        honest = Honest(server)
        honest.prepare()
        honest.rounds(1)
        rounds = ROUNDS or kind.rounds
        without = honest.rounds(rounds)
        assert not honest.failures
        children, before = server.children(), of_all(server, "VmRSS")
        with siege(hostile, server) as seen, Health(server) as health:
            beside = honest.rounds(rounds)
            after, most = of_all(server, "VmRSS"), of_all(server, "VmHWM")
        same = server.children() == children
        grown = {pid: (after.get(pid, 0) - size) // MIB for pid, size in before.items()}
        peak = {pid: (most.get(pid, 0) - size) // MIB for pid, size in before.items()}
        print(table(kind.name, without, beside))
        print(f"  health: {health.asked} asked, {health.unready} not ready, at worst {health.longest_s * 1000:.0f} ms")
        print(
            f"  memory: grown {max(grown.values())} MiB, at most {max(peak.values())} MiB; the same processes: {same}"
        )
        print(f"  hostile: {dict(seen)}; failures: {honest.failures + health.failures}")
        assert not honest.failures
        assert not health.failures
        assert same, "a process of the server was killed"
        assert max(after.get(pid, 0) - size for pid, size in before.items()) <= GROWTH_MAX_BYTES
        assert not kind.expects or hostile.is_met(seen), seen
        honest.rounds(1)
        assert not honest.failures, "the server does not recover"
