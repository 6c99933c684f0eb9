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


@pytest.fixture(scope="module", params=["http", "https"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[Server]:
    """A server on one drive, over both schemes; the store is checked when the module is done."""
    folder = tmp_path_factory.mktemp("store")
    with Server([folder / "drive"], tls=certificate if request.param == "https" else None) as running:
        yield running
