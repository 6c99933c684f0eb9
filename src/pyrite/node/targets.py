"""Owns where events go: topics with an endpoint, and the targets that the operator declares in a TOML file.

A declared target is named by an ARN of SQS or Lambda whose last field is its name. Those may be webhooks, or brokers
whose clients are optional extras; topics of users are webhooks alone, which the guard of `http/outbound.py` watches.
"""

import asyncio
import contextlib
import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from pyrite.aws.arns import MalformedArn, bucket_arn, parse_arn
from pyrite.core.errors import ConfigError
from pyrite.http.outbound import Outbound
from pyrite.iam import topics
from pyrite.iam.caller import Caller
from pyrite.iam.changing import View
from pyrite.iam.errors import IamError
from pyrite.iam.evaluate import Question, decide
from pyrite.iam.patterns import Values
from pyrite.iam.policy import Use, parse_policy
from pyrite.node import kafka
from pyrite.objects.buckets import Bucket
from pyrite.objects.events import EventRecord
from pyrite.s3.request import S3Request
from pyrite.services.notify import UnknownTarget

SERVICE = "s3.amazonaws.com"
DELIVER_S = 15.0
_CLOSE_S = 2.0
Kind = Literal["webhook", "redis", "postgres", "nats", "mqtt", "amqp", "kafka"]
_EXTRAS = {"redis": "redis.asyncio", "postgres": "asyncpg", "nats": "nats", "mqtt": "aiomqtt", "amqp": "aio_pika"}
_EXTRAS["kafka"] = "aiokafka"


class DeclaredTarget(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A target. `channel` is the list (Redis), table (PostgreSQL), subject (NATS), topic (MQTT, Kafka) or queue."""

    name: str
    kind: Kind
    url: str
    channel: str = "s3-events"
    token: str = ""


class Declaration(msgspec.Struct, forbid_unknown_fields=True):
    """The file."""

    targets: list[DeclaredTarget] = msgspec.field(name="target", default_factory=list)


def read_targets(path: Path) -> dict[str, DeclaredTarget]:
    """The targets that a file declares, by name. Raises ConfigError."""
    try:
        declared = msgspec.toml.decode(path.read_bytes(), type=Declaration).targets
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the targets in {path} cannot be read: {error}") from None
    for target in declared:
        module = _EXTRAS.get(target.kind)
        if module is not None:
            try:
                importlib.import_module(module)
            except ImportError:
                raise ConfigError(
                    f"target {target.name}: pip install 'pyrite[notifications]' for {target.kind}"
                ) from None
        if target.kind == "kafka":
            kafka.parse(target.url)
    return {target.name: target for target in declared}


class Targets:
    """Where events can go, and handing them over."""

    def __init__(self, view: View, outbound: Outbound, declared: dict[str, DeclaredTarget]) -> None:
        self._view = view
        self._outbound = outbound
        self._declared = declared
        self._open: dict[str, Client] = {}

    async def may_notify(self, request: S3Request, bucket: Bucket, target: str) -> bool | None:
        """Whether the bucket's events may go to a target; None where there is no such target."""
        if self._named(target) is not None:
            return True
        try:
            record = await topics.find(self._view, target)
        except IamError:
            return None
        if record.account == request.caller.account:
            return True
        if not record.attributes.get("Policy"):
            return False
        policy = parse_policy(record.attributes["Policy"], Use.RESOURCE, "topic policy")
        keys: dict[str, Values] = {
            "aws:sourcearn": (bucket_arn(bucket.record.name),),
            "aws:sourceaccount": (request.caller.account,),
        }
        service = Caller(kind="AssumedRole", account="-", provider=SERVICE, is_root=True, keys=keys)
        question = Question("sns:Publish", target, keys, "", record.account, policy)
        return decide(service, question).allowed or decide(request.caller, question).allowed

    def _named(self, target: str) -> DeclaredTarget | None:
        try:
            arn = parse_arn(target)
        except MalformedArn:
            return None
        if arn.service not in ("sqs", "lambda"):
            return None
        return self._declared.get(arn.resource.rpartition(":")[2])

    async def deliver(self, target: str, event: EventRecord, document: bytes) -> None:
        """Hand an event over. Raises UnknownTarget, OutboundError, or what the target's client raises."""
        declared = self._named(target)
        if declared is not None:
            await self._deliver_declared(declared, event, document)
            return
        try:
            record = await topics.find(self._view, target)
        except IamError:
            raise UnknownTarget(target) from None
        endpoint = record.attributes.get(topics.ENDPOINT)
        if not endpoint:
            raise UnknownTarget(f"{target} has no endpoint")
        await self._outbound.post(endpoint, {"Content-Type": "application/json"}, document)

    async def _deliver_declared(self, declared: DeclaredTarget, event: EventRecord, document: bytes) -> None:
        if declared.kind == "webhook":
            headers = {"Content-Type": "application/json"}
            if declared.token:
                headers["Authorization"] = f"Bearer {declared.token}"
            await self._outbound.post(declared.url, headers, document)
            return
        try:
            async with asyncio.timeout(DELIVER_S):
                client = self._open.get(declared.name)
                if client is None:
                    client = self._open[declared.name] = await _CONNECT[declared.kind](declared)
                await client.send(event.key, document)
        except BaseException:
            failed = self._open.pop(declared.name, None)  # the next try connects anew
            if failed is not None:
                await _close(failed)
            raise


class Client(NamedTuple):
    """A connection to a broker: how an event is sent by its key, and how the connection is ended."""

    send: Callable[[bytes, bytes], Awaitable[None]]
    close: Callable[[], Awaitable[None]] | None = None


async def _close(client: Client) -> None:
    """End a connection that has failed, however it takes that."""
    if client.close is not None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await client.close()


async def _redis(target: DeclaredTarget) -> Client:
    client: Any = importlib.import_module("redis.asyncio").from_url(target.url)

    async def send(_: bytes, document: bytes) -> None:
        await client.rpush(target.channel, document)

    return Client(send, client.aclose)


async def _postgres(target: DeclaredTarget) -> Client:
    client: Any = await importlib.import_module("asyncpg").connect(target.url)
    table = '"' + target.channel.replace('"', '""') + '"'
    await client.execute(
        f"CREATE TABLE IF NOT EXISTS {table} "
        "(id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), key text, event jsonb)"
    )

    async def send(key: bytes, document: bytes) -> None:
        statement = f"INSERT INTO {table} (key, event) VALUES ($1, $2)"  # noqa: S608 - the operator's own name, quoted
        await client.execute(statement, key.decode("utf-8", "replace").replace("\0", ""), document.decode())

    return Client(send, client.close)


async def _nats(target: DeclaredTarget) -> Client:
    client: Any = await importlib.import_module("nats").connect(target.url, max_reconnect_attempts=1)

    async def send(_: bytes, document: bytes) -> None:
        await client.publish(target.channel, document)
        await client.flush(5)

    return Client(send, client.close)


async def _mqtt(target: DeclaredTarget) -> Client:
    from urllib.parse import urlsplit

    parts = urlsplit(target.url)
    module: Any = importlib.import_module("aiomqtt")

    async def send(_: bytes, document: bytes) -> None:
        connection = module.Client(
            parts.hostname or "localhost", parts.port or 1883, username=parts.username, password=parts.password
        )
        async with connection as client:
            await client.publish(target.channel, document, qos=1)

    return Client(send)


async def _amqp(target: DeclaredTarget) -> Client:
    module: Any = importlib.import_module("aio_pika")
    connection = await module.connect(target.url)
    channel = await connection.channel(publisher_confirms=True)
    await channel.declare_queue(target.channel, durable=True)

    async def send(_: bytes, document: bytes) -> None:
        message = module.Message(document, delivery_mode=module.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=target.channel)

    return Client(send, connection.close)


async def _kafka(target: DeclaredTarget) -> Client:
    url = kafka.parse(target.url)
    producer = await kafka.KafkaProducer.connect(url)

    async def send(key: bytes, document: bytes) -> None:
        try:
            await producer.send(url.topic or target.channel, [(key, document)])
        except kafka.KafkaError:
            await producer.close()
            raise

    return Client(send, producer.close)


_CONNECT: dict[str, Callable[[DeclaredTarget], Awaitable[Client]]] = {
    "redis": _redis,
    "postgres": _postgres,
    "nats": _nats,
    "mqtt": _mqtt,
    "amqp": _amqp,
    "kafka": _kafka,
}
