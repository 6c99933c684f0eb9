"""Requests as an attacker makes them: signed by botocore's signer or by none, then sent as they are."""

import hashlib
import http.client
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of an error document, "" when there is none."""
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return found.group(1).decode() if found else ""


class Wire:
    """A server's endpoint."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.host = urlsplit(endpoint).netloc

    def send(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        """Send a request as it is."""
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            sent = {"Host": self.host, "Content-Length": str(len(body)), **(headers or {})}
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        finally:
            connection.close()

    def sign(
        self,
        credentials: Credentials,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        service: str = "s3",
    ) -> dict[str, str]:
        """The headers of a request signed by its header."""
        made = AWSRequest(method, self.endpoint + target, headers={"Host": self.host, **(headers or {})}, data=body)
        if service == "s3":
            made.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
            S3SigV4Auth(credentials, service, "us-east-1").add_auth(made)
        else:
            SigV4Auth(credentials, service, "us-east-1").add_auth(made)
        return dict(made.headers)

    def signed(
        self,
        credentials: Credentials,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        service: str = "s3",
    ) -> Answer:
        """Sign a request and send it."""
        return self.send(method, target, self.sign(credentials, method, target, headers, body, service), body)

    def presign(
        self,
        credentials: Credentials,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        expires_s: int = 300,
    ) -> str:
        """The target of a presigned URL; `headers` are signed with it."""
        made = AWSRequest(method, self.endpoint + target, headers={"Host": self.host, **(headers or {})})
        S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=expires_s).add_auth(made)
        parts = urlsplit(made.url)
        return f"{parts.path}?{parts.query}"
