"""Owns speaking to Kafka: what its URLs mean, and a producer that waits until all replicas have a message."""

import importlib
import ssl
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from pyrite.core.counts import parse_count
from pyrite.core.errors import ConfigError, PyriteError

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_PORT = 9092


class KafkaError(PyriteError):
    """A message was not taken."""


class KafkaUrl(NamedTuple):
    """`kafka://USER:PASSWORD@HOST:PORT,HOST:PORT/TOPIC?sasl=SCRAM-SHA-512`; `kafkas` is the same over TLS."""

    servers: list[str]
    topic: str
    tls: bool
    user: str
    password: str
    mechanism: str


def parse(url: str) -> KafkaUrl:
    """The parts of a URL. Raises ConfigError."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    mechanism = parts.query.removeprefix("sasl=") or "PLAIN"
    if parts.scheme not in ("kafka", "kafkas") or not hosts or mechanism not in _MECHANISMS:
        raise ConfigError(
            f"a Kafka URL is kafka[s]://[USER:PASSWORD@]HOST[:PORT][,...][/TOPIC][?sasl={'|'.join(_MECHANISMS)}]"
        )
    servers = [
        host if parse_count(host.rpartition(":")[2]) is not None else f"{host}:{_PORT}"
        for host in hosts.split(",")
        if host
    ]
    tls = parts.scheme == "kafkas"
    return KafkaUrl(servers, parts.path.strip("/"), tls, unquote(user), unquote(password), mechanism)


def check_installed(what: str) -> None:
    """Raises ConfigError where the client is not installed."""
    try:
        importlib.import_module("aiokafka")
    except ImportError:
        raise ConfigError(f"{what}: pip install 'pyrite[notifications]' for kafka") from None


class KafkaProducer:
    """Sends messages to one cluster."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    @classmethod
    async def connect(cls, url: KafkaUrl) -> Self:
        """A producer that is connected. Raises KafkaError."""
        module: Any = importlib.import_module("aiokafka")
        protocol = ("SASL_" if url.user else "") + ("SSL" if url.tls else "PLAINTEXT")
        sasl = {"sasl_plain_username": url.user, "sasl_plain_password": url.password} if url.user else {}
        inner = module.AIOKafkaProducer(
            bootstrap_servers=url.servers,
            client_id="pyrite",
            acks="all",
            enable_idempotence=True,
            security_protocol=protocol,
            ssl_context=ssl.create_default_context() if url.tls else None,
            sasl_mechanism=url.mechanism if url.user else "PLAIN",
            **sasl,
        )
        try:
            await inner.start()
        except Exception as error:
            await inner.stop()
            raise KafkaError(f"Kafka at {', '.join(url.servers)}: {error}") from error
        return cls(inner)

    async def send(self, topic: str, messages: list[tuple[bytes, bytes]]) -> None:
        """Send keys and values in order; returns once all replicas have them. Raises KafkaError."""
        try:
            sent = [await self._inner.send(topic, value, key=key) for key, value in messages]
            for one in sent:
                await one
        except Exception as error:
            raise KafkaError(f"Kafka did not take a message for {topic}: {error}") from error

    async def close(self) -> None:
        """Let go of the cluster."""
        await self._inner.stop()
