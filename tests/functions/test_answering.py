"""Webhooks that answer as Lambda functions do: by WriteGetObjectResponse, to whichever process of the server."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.conformance.test_boto3 import code_of
from tests.server import ACCESS_KEY, SECRET_KEY, Server

Answers = Callable[[Any, dict[str, str], bytes], None]
NOBODY = ("InvalidRequest", 400)


class Hook:
    """A webhook that reads the object and then does what the test wants, before it answers with nothing."""

    def __init__(self) -> None:
        self.server_of_store: Server | None = None
        self.answers: Answers = lambda s3, words, body: None
        self.said: list[object] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                context = json.loads(self.rfile.read(int(self.headers["content-length"])))["getObjectContext"]
                body = urllib.request.urlopen(context["inputS3Url"]).read()
                words = {"RequestRoute": context["outputRoute"], "RequestToken": context["outputToken"]}
                try:
                    hook.answers(hook.client(), words, body)
                except Exception as error:
                    hook.said.append(error)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def client(self):
        assert self.server_of_store is not None
        return self.server_of_store.client(ACCESS_KEY, SECRET_KEY, inject_host_prefix=False)


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hook]:
    folder, made = tmp_path_factory.mktemp("answering"), Hook()
    (folder / "functions.toml").write_text(f'[[function]]\nname = "f"\nkind = "webhook"\nurl = "{made.url}"\n')
    options = ("--functions", str(folder / "functions.toml"), "--outbound", "127.0.0.0/8", "--workers", "2")
    with Server([folder / "d"], *options) as server:
        made.server_of_store = server
        server.client().create_bucket(Bucket="read")
        server.client().put_object(Bucket="read", Key="k", Body=b"0123456789" * 300_000)
        yield made
    made.server.shutdown()


def read(hook: Hook, answers: Answers) -> dict:
    """What the client gets when the webhook does that; over a connection of its own, so to any of the workers."""
    hook.answers, hook.said = answers, []
    assert hook.server_of_store is not None
    s3 = hook.server_of_store.client(retries={"max_attempts": 0})
    arn = "arn:aws:lambda:us-east-1:0:function:f"
    s3.meta.events.register(
        "before-sign.s3.GetObject", lambda request, **_: setattr(request, "url", f"{request.url}?lambdaArn={arn}")
    )
    found = s3.get_object(Bucket="read", Key="k")
    return {**found, "Body": found["Body"].read()}


def test_answers_reach_who_waits(hook: Hook) -> None:
    """Body, status, header fields and metadata are told to the client, from whichever worker to whichever."""

    def upper(s3: Any, words: dict[str, str], body: bytes) -> None:
        more = {"ContentType": "text/upper", "Metadata": {"kind": "x"}, "ETag": '"abc"', "CacheControl": "no-store"}
        s3.write_get_object_response(**words, Body=body[::-1], **more)

    for _ in range(12):
        found = read(hook, upper)
        assert found["Body"] == b"9876543210" * 300_000 and not hook.said
        assert (found["ContentType"], found["ETag"], found["Metadata"]) == ("text/upper", '"abc"', {"kind": "x"})
        assert found["CacheControl"] == "no-store" and found["ContentLength"] == 3_000_000


def test_answers_that_are_errors(hook: Hook) -> None:
    """An error of the function's is the client's; a function that says nothing has not answered."""

    def refuse(s3: Any, words: dict[str, str], body: bytes) -> None:
        s3.write_get_object_response(**words, StatusCode=403, ErrorCode="NotForYou", ErrorMessage="go away")

    assert code_of(read, hook, refuse) == ("NotForYou", 403) and not hook.said
    assert code_of(read, hook, lambda s3, words, body: None) == ("LambdaResponseNotReceived", 500)

    def odd(s3: Any, words: dict[str, str], body: bytes) -> None:
        assert code_of(s3.write_get_object_response, **words, StatusCode=299) == NOBODY

    assert code_of(read, hook, odd) == ("LambdaInvalidResponse", 500) and not hook.said


def test_who_may_answer(hook: Hook) -> None:
    """Only who has the words of a call that waits, and the permission, answers it, and only once."""
    assert hook.server_of_store is not None
    server = hook.server_of_store
    iam = server.client(service="iam")
    iam.create_user(UserName="other")
    key = iam.create_access_key(UserName="other")["AccessKey"]
    other = server.client(key["AccessKeyId"], key["SecretAccessKey"], inject_host_prefix=False)

    def attack(s3: Any, words: dict[str, str], body: bytes) -> None:
        write = s3.write_get_object_response
        assert code_of(other.write_get_object_response, **words, Body=b"forged") == ("AccessDenied", 403)
        assert code_of(write, **{**words, "RequestToken": "wrong"}, Body=b"forged") == NOBODY
        for route in ("0" * 16, "..", "lock", "worker-0.status"):
            assert code_of(write, **{**words, "RequestRoute": route}, Body=b"forged") == NOBODY, route
        write(**words, Body=b"genuine")
        assert code_of(write, **words, Body=b"again") == NOBODY

    assert read(hook, attack)["Body"] == b"genuine" and not hook.said
    statement = {"Effect": "Allow", "Action": "s3-object-lambda:WriteGetObjectResponse", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="other", PolicyName="p", PolicyDocument=policy)
    answers = lambda s3, words, body: other.write_get_object_response(**words, Body=b"allowed")  # noqa: E731
    assert read(hook, answers)["Body"] == b"allowed" and not hook.said
    late = {"RequestRoute": "0123456789abcdef", "RequestToken": "x"}
    assert code_of(hook.client().write_get_object_response, **late, Body=b"late") == NOBODY


def test_a_client_that_leaves_ends_the_answer(hook: Hook) -> None:
    """A function that still answers when its client has gone is told so, and nothing waits for it any more."""
    ended = threading.Event()

    def long(s3: Any, words: dict[str, str], body: bytes) -> None:
        try:
            s3.write_get_object_response(**words, Body=body * 20)
        finally:
            ended.set()

    hook.answers, hook.said = long, []
    assert hook.server_of_store is not None
    s3 = hook.server_of_store.client()
    arn = "arn:aws:lambda:us-east-1:0:function:f"
    s3.meta.events.register(
        "before-sign.s3.GetObject", lambda request, **_: setattr(request, "url", f"{request.url}?lambdaArn={arn}")
    )
    found = s3.get_object(Bucket="read", Key="k")["Body"]
    assert found.read(10) == b"0123456789"
    found.close()
    assert ended.wait(120) and hook.said
    assert read(hook, lambda s3, words, body: s3.write_get_object_response(**words, Body=b"next"))["Body"] == b"next"
