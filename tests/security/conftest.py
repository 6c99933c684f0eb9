"""A server with the people of the attacks."""

from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config

from tests.security.people import SECRET, write_identities
from tests.security.wire import Wire
from tests.server import Server


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two accounts."""
    folder = tmp_path_factory.mktemp("secure")
    with Server([folder / "drive"], "--identities", str(write_identities(folder))) as server:
        yield server


@pytest.fixture
def wire(secure: Server) -> Wire:
    return Wire(secure.endpoint)


def client_of(server: Server, service: str, name: str, secret: str = SECRET, token: str | None = None):
    """A boto3 client for one of the people."""
    return boto3.client(
        service,
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=name,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(parameter_validation=False),
    )
