"""Real brokers on free ports of loopback, and what each of them was told, as its own client sees it."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Self

import pytest

from tests.server import free_port, wait_until

CHANNEL = "s3-events"
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))))


def _program(name: str) -> str:
    """Where a program is; skips the test where it is not installed."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Broker:
    """A broker that runs while this context is open. A subclass says how it starts and how it is listened to."""

    scheme = ""
    place = ""
    ordered = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"{self.scheme}://127.0.0.1:{self.port}{self.place}"
        self.documents: list[bytes] = []
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What starts it."""
        raise NotImplementedError

    def listen(self) -> None:
        """Begin to keep what comes, where the broker keeps nothing itself."""

    def told(self) -> list[bytes]:
        """All documents so far."""
        return self.documents

    def start(self, command: list[str], **how: Any) -> None:
        """Run the broker's process."""
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, cwd=self.folder, **silent, **how)

    def __enter__(self) -> Self:
        self.start(self.command())
        wait_until(self._is_up)
        self.listen()
        return self

    def _is_up(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "the broker ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(120)

    def keys(self) -> list[str]:
        """The keys of all events so far."""
        events = [json.loads(document) for document in self.told()]
        return [event["Records"][0]["s3"]["object"]["key"] for event in events if "Records" in event]


class Redis(Broker):
    """A list."""

    scheme = "redis"

    def command(self) -> list[str]:
        return [_program("redis-server"), "--port", str(self.port), "--save", "", "--bind", "127.0.0.1"]

    def told(self) -> list[bytes]:
        import redis

        return redis.Redis(port=self.port).lrange(CHANNEL, 0, -1)


class _Listened(Broker):
    """A broker that hands on and keeps nothing: a thread listens."""

    def listen(self) -> None:
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.hear(ready)), daemon=True).start()
        assert ready.wait(120)

    async def hear(self, ready: threading.Event) -> None:
        """Keep what comes; `ready` is set when nothing more is missed."""
        raise NotImplementedError


class Nats(_Listened):
    """A subject."""

    scheme = "nats"

    def command(self) -> list[str]:
        return [_program("nats-server"), "-a", "127.0.0.1", "-p", str(self.port)]

    async def hear(self, ready: threading.Event) -> None:
        import nats

        client = await nats.connect(self.url)
        subscription = await client.subscribe(CHANNEL)
        await client.flush()
        ready.set()
        async for message in subscription.messages:
            self.documents.append(message.data)


class Mqtt(_Listened):
    """A topic."""

    scheme = "mqtt"

    def command(self) -> list[str]:
        return [_program("mosquitto"), "-p", str(self.port)]

    async def hear(self, ready: threading.Event) -> None:
        import aiomqtt

        while True:
            try:
                async with aiomqtt.Client("127.0.0.1", self.port) as client:
                    await client.subscribe(CHANNEL, qos=1)
                    ready.set()
                    async for message in client.messages:
                        self.documents.append(bytes(message.payload))
            except aiomqtt.MqttError:
                await asyncio.sleep(0.1)


class Postgres(Broker):
    """A table of a cluster made for the test. PostgreSQL refuses to run as root, so root lends it another user."""

    scheme = "postgresql"
    place = "/postgres?user=pyrite"

    def __enter__(self) -> Self:
        initdb, postgres = _program("initdb"), _program("postgres")
        self._data = Path(tempfile.mkdtemp(prefix="pyrite-postgres-"))
        how: dict[str, Any] = {}
        if os.getuid() == 0:
            user = next((entry for entry in pwd.getpwall() if entry.pw_name == "postgres"), None)
            if user is None:
                pytest.skip("there is no user postgres")
            os.chown(self._data, user.pw_uid, user.pw_gid)
            how = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.folder = self._data
        made = [initdb, "-D", str(self._data / "d"), "-A", "trust", "-U", "pyrite", "-N"]
        subprocess.run(made, check=True, capture_output=True, cwd=self._data, **how)
        places = ["-p", str(self.port), "-h", "127.0.0.1", "-k", str(self._data)]
        self.start([postgres, "-D", str(self._data / "d"), *places], **how)
        wait_until(self._is_up)
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        shutil.rmtree(self._data, ignore_errors=True)

    def told(self) -> list[bytes]:
        import asyncpg

        async def read() -> list[bytes]:
            try:
                connection = await asyncpg.connect(self.url)
            except (OSError, asyncpg.PostgresError):
                return []
            try:
                return [row["event"].encode() for row in await connection.fetch(f'TABLE "{CHANNEL}"')]
            except asyncpg.UndefinedTableError:
                return []
            finally:
                await connection.close()

        return asyncio.run(read())


class Rabbit(Broker):
    """A durable queue of RabbitMQ."""

    scheme = "amqp"
    place = "/"

    def __enter__(self) -> Self:
        program = _program("rabbitmq-server")
        self._data = Path(tempfile.mkdtemp(prefix="pyrite-rabbitmq-"))
        self._data.chmod(0o777)  # Debian's script runs the broker as a user of its own
        self.folder = self._data
        settings = {
            "NODENAME": f"pyrite{self.port}@localhost",
            "NODE_IP_ADDRESS": "127.0.0.1",
            "NODE_PORT": str(self.port),
            "DIST_PORT": str(free_port()),
            "MNESIA_BASE": str(self._data),
            "LOG_BASE": str(self._data),
            "PID_FILE": str(self._data / "pid"),
        }
        named = {f"RABBITMQ_{name}": value for name, value in settings.items()}
        self._names = str(free_port())  # of the daemon that Erlang starts beside it
        self.start([program], env={**os.environ, **named, **self._daemon()}, start_new_session=True)
        wait_until(self._answers)
        return self

    def _daemon(self) -> dict[str, str]:
        return {"ERL_EPMD_PORT": self._names, "ERL_EPMD_RELAXED_COMMAND_CHECK": "true"}

    def _answers(self) -> bool:
        return asyncio.run(self._take()) is not None

    async def _take(self) -> list[bytes] | None:
        """What has come since; None while there is no broker."""
        import aio_pika

        try:
            connection = await aio_pika.connect(self.url)
        except (OSError, aio_pika.exceptions.AMQPError):
            return None
        async with connection:
            queue = await (await connection.channel()).declare_queue(CHANNEL, durable=True)
            found: list[bytes] = []
            while (message := await queue.get(fail=False, no_ack=True)) is not None:
                found.append(message.body)
            return found

    def __exit__(self, *_: object) -> None:
        written = self._data / "pid"  # of the broker itself, behind Debian's scripts
        if written.exists():
            process = int(written.read_text())
            os.kill(process, signal.SIGTERM)
            wait_until(lambda: not Path(f"/proc/{process}").exists(), 60)
        super().__exit__()
        subprocess.run(["epmd", "-port", self._names, "-kill"], check=False, capture_output=True)
        shutil.rmtree(self._data, ignore_errors=True)

    def told(self) -> list[bytes]:
        self.documents += asyncio.run(self._take()) or []
        return self.documents


class Kafka(Broker):
    """A topic of the cluster that librdkafka keeps for tests: it speaks Kafka's protocol on ports of its own.

    The topic has several partitions: only events of one key have an order.
    """

    ordered = False

    def __enter__(self) -> Self:
        import confluent_kafka

        made = {"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0}
        self._cluster = confluent_kafka.Producer(made)
        (broker,) = self._cluster.list_topics(timeout=30).brokers.values()
        self.servers = f"{broker.host}:{broker.port}"
        self.url = f"kafka://{self.servers}"
        return self

    def told(self) -> list[bytes]:
        return [value for _, value in self.messages(CHANNEL)]

    def messages(self, topic: str) -> list[tuple[bytes, bytes]]:
        """Keys and values of a topic from its beginning."""
        import confluent_kafka

        given = {"bootstrap.servers": self.servers, "group.id": "test", "log_level": 0}
        consumer = confluent_kafka.Consumer(given)
        found: list[tuple[bytes, bytes]] = []
        try:
            partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
            for number in partitions:
                where = confluent_kafka.TopicPartition(topic, number, confluent_kafka.OFFSET_BEGINNING)
                _, end = consumer.get_watermark_offsets(where, timeout=30)
                consumer.assign([where] if end > 0 else [])
                for message in consumer.consume(max(end, 0), timeout=30) if end > 0 else ():
                    if message.error() is None:
                        found.append((message.key(), message.value()))
        finally:
            consumer.close()
        return found


BROKERS = {"kafka": Kafka, "redis": Redis, "nats": Nats, "mqtt": Mqtt, "postgres": Postgres, "amqp": Rabbit}
