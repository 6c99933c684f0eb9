"""Signing in with client certificates: who is verified gets the role that trusts it, and nobody else."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import trustme

from tests.security.people import ALL, OWNER, write_identities
from tests.server import Server

ROLE = """
[[account]]
[[account.role]]
name = "robot"
policies = ["%s"]
trust = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::%s:client-certificates"}, "Action": "sts:AssumeRoleWithCertificate", "Condition": {"StringEquals": {"x509:subject/CN": "robot"}}}}'
"""


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[tuple[Server, trustme.CA]]:
    """A server that accepts client certificates of one authority, and that authority."""
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "clients.pem")
    identities = write_identities(folder)
    identities.write_text(
        identities.read_text() + f'\n[[account]]\nid = "{OWNER}"\n' + (ROLE % (ALL, OWNER)).replace("[[account]]\n", "")
    )
    options = ("--identities", str(identities), "--tls-client-ca", str(folder / "clients.pem"), "--workers", "1")
    with Server([folder / "drive"], *options, tls=certificate) as server:
        yield server, authority


def ask(server: Server, certificate: trustme.LeafCert | None, folder: Path, query: str = "") -> tuple[int, str]:
    """AssumeRoleWithCertificate as SDKs send it: status and body."""
    context = ssl._create_unverified_context()
    if certificate is not None:
        path = folder / "client.pem"
        path.write_bytes(certificate.private_key_pem.bytes() + certificate.cert_chain_pems[0].bytes())
        context.load_cert_chain(path)
    url = f"{server.endpoint}/?Action=AssumeRoleWithCertificate&Version=2011-06-15{query}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=b"", method="POST"), context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


ARN = f"&RoleArn=arn:aws:iam::{OWNER}:role/robot"


def test_a_verified_certificate_gives_its_role(store: tuple[Server, trustme.CA], tmp_path: Path) -> None:
    """The robot's certificate gives a session of the role that trusts it."""
    server, authority = store
    status, body = ask(server, authority.issue_cert("robot.example", common_name="robot"), tmp_path, ARN)
    assert status == 200, body

    def field(name: str) -> str:
        return body.partition(f"<{name}>")[2].partition("<")[0]

    s3 = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=field("AccessKeyId"),
        aws_secret_access_key=field("SecretAccessKey"),
        aws_session_token=field("SessionToken"),
        verify=False,
    )
    s3.create_bucket(Bucket="of-the-robot")
    s3.delete_bucket(Bucket="of-the-robot")


def test_others_are_refused(store: tuple[Server, trustme.CA], tmp_path: Path) -> None:
    """Another name, no certificate, and roles that trust no certificate are refused."""
    server, authority = store
    assert ask(server, authority.issue_cert("x.example", common_name="intruder"), tmp_path, ARN)[0] == 403
    status, body = ask(server, None, tmp_path, ARN)
    assert status == 400 and "InvalidIdentityToken" in body
    robot = authority.issue_cert("robot.example", common_name="robot")
    assert ask(server, robot, tmp_path, f"&RoleArn=arn:aws:iam::{OWNER}:role/worker")[0] == 403
    assert ask(server, robot, tmp_path, f"&RoleArn=arn:aws:iam::{OWNER}:role/absent")[0] == 403
    assert ask(server, robot, tmp_path)[0] == 403


def test_another_authority_is_not_believed(store: tuple[Server, trustme.CA], tmp_path: Path) -> None:
    """A certificate that another authority made ends the handshake."""
    with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
        ask(store[0], trustme.CA().issue_cert("robot.example", common_name="robot"), tmp_path, ARN)
