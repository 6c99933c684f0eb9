"""Fixtures that every suite shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from hypothesis import settings

from tests.mounts import mounts
from tests.server import Server

__all__ = ["mounts"]

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=300)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 with its authority in the same file, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(issued.cert_chain_pems[0].bytes() + authority.cert_pem.bytes())
    key.write_bytes(issued.private_key_pem.bytes())
    return chain, key


OVER_BOTH = frozenset(("test_bodies", "test_boto3", "test_browsers", "test_clients", "test_versions"))
"""Suites that run over HTTP and HTTPS by default: bodies and answers of every kind. The others do with `-m long`."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the HTTPS run of every other suite as long."""
    for item in items:
        scheme = getattr(item, "callspec", None) and item.callspec.params.get("server")  # type: ignore[attr-defined]
        if scheme == "https" and item.path.stem not in OVER_BOTH:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="module", params=["http", "https"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[Server]:
    """A server on one drive, over both schemes; the store is checked when the module is done."""
    folder = tmp_path_factory.mktemp("store")
    with Server([folder / "drive"], tls=certificate if request.param == "https" else None) as running:
        yield running
