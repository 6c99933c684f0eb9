"""Reads through functions: Python in processes with limits, webhooks with words to repeat, rights, and failures."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.conformance.test_boto3 import code_of
from tests.server import Server

PYTHON = """
import os, threading
def transform(source, call):
    what = call.query["what"]
    if what == "upper":
        call.reply(headers={"Content-Type": "text/plain", "x-amz-meta-kind": call.key})
        return (line.upper() for line in source)
    if what == "tail":
        source.seek(-5, os.SEEK_END)
        return source.read().decode()
    if what == "size":
        return str(len(source.read()))
    if what == "told":
        print("this is no answer")
        os.write(1, b"nor is this")
        return repr((call.bucket, call.key, call.size, sorted(call.headers), call.url, call.caller["type"], dict(os.environ)))
    if what == "refuse":
        call.fail("not for you", "NotForYou", 403)
    if what == "raise":
        raise ValueError("secret-in-the-message")
    if what == "memory":
        return bytes(1 << 33)
    if what == "spin":
        while True: pass
    if what == "sleep":
        threading.Event().wait()
    if what == "exit":
        os._exit(3)
    if what == "write":
        with open(call.query["file"], "w") as file:
            file.write("x")
    if what == "header":
        call.reply(headers={"Content-Type": "a\\r\\nX-Evil: 1"})
        return b""
    if what == "cookie":
        call.reply(headers={"Set-Cookie": "a=b"})
        return b""
    if what == "parent":
        open("/proc/%d/environ" % os.getppid(), "rb").read()
    if what == "look":
        open(call.query["file"], "rb").read()
    if what == "remove":
        os.unlink(call.query["file"])
    if what == "long":
        call.reply(content_length=3)
        return source.read()
    if what == "short":
        call.reply(content_length=50)
        return source.read()
    if what == "status":
        call.reply(status="200")
    if what == "number":
        return [10]
    if what == "names":
        call.reply(headers={"x-amz-meta-number": 5})
        return b"x"
    if what == "slow":
        while source.read(1):
            threading.Event().wait(0.5)
            source.seek(0)
    if what == "late":
        def blocks():
            yield b"x" * 1000000
            raise ValueError
        return blocks()
"""


class Hook:
    """A webhook that transforms what it reads from the store, or answers as it is told to by the query."""

    def __init__(self) -> None:
        self.events: list[dict] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["content-length"])))
                hook.events.append({**event, "authorization": self.headers["authorization"]})
                context, url = event["getObjectContext"], event["userRequest"]["url"]
                body = urllib.request.urlopen(context["inputS3Url"]).read()[::-1] if "what=" not in url else b""
                token = "wrong" if "what=forge" in url else context["outputToken"]
                self.send_response(500 if "what=fail" in url else 302 if "what=redirect" in url else 200)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("x-amz-request-route", context["outputRoute"])
                self.send_header("x-amz-request-token", token)
                if "what=odd" in url:
                    self.send_header("x-amz-fwd-status", "\u00b2")
                if "what=refuse" in url:
                    self.send_header("x-amz-fwd-status", "404")
                    self.send_header("x-amz-fwd-error-code", "NoSuchThing")
                    self.send_header("x-amz-fwd-error-message", "there is no such thing")
                self.send_header("x-amz-fwd-header-Content-Type", "text/reversed")
                self.send_header("x-amz-fwd-header-ETag", '"abc"')
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture(scope="module")
def hook():
    made = Hook()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def own(tmp_path_factory, hook):
    folder = tmp_path_factory.mktemp("functions")
    (folder / "f.py").write_text(PYTHON)
    (folder / "functions.toml").write_text(
        '[[function]]\nname = "python"\nkind = "python"\nfile = "f.py"\n'
        '[[function]]\nname = "brief"\nkind = "python"\nfile = "f.py"\ntimeout_s = 3\n'
        f'[[function]]\nname = "hook"\nkind = "webhook"\nurl = "{hook.url}"\ntoken = "t0ken"\n'
        '[[function]]\nname = "private"\nkind = "webhook"\nurl = "https://169.254.169.254/"\n'
    )
    more = ("--keyring", str(folder / "keyring"), "--outbound", "127.0.0.0/8")
    with Server([folder / "d"], "--functions", str(folder / "functions.toml"), *more) as server:
        yield server


@pytest.fixture(scope="module")
def s3(own: Server):
    client = own.client()

    def add(request, **_: object) -> None:
        arn, what = client.function
        request.url += ("&" if "?" in request.url else "?") + f"lambdaArn={arn}" + (f"&what={what}" if what else "")

    client.function = ("", "")
    client.meta.events.register("before-sign.s3.GetObject", lambda request, **_: client.function[0] and add(request))
    client.create_bucket(Bucket="read")
    client.put_object(Bucket="read", Key="a/text", Body=b"one\ntwo\n")
    client.put_object(Bucket="read", Key="large", Body=b"0123456789" * 300_000)
    return client


def through(s3, name: str, what: str = "", key: str = "a/text", **more):
    is_python = name in ("python", "brief")
    form = "arn:aws:lambda:us-east-1:0:function:{}" if is_python else "arn:minio:s3-object-lambda::{}:webhook"
    s3.function = (form.format(name), what)
    try:
        return s3.get_object(Bucket="read", Key=key, **more)
    finally:
        s3.function = ("", "")


def read(s3, *given, **more) -> bytes:
    return through(s3, *given, **more)["Body"].read()


def test_python(s3) -> None:
    """A function reads, seeks and yields; it is told of the request, and of no secret."""
    found = through(s3, "python", "upper")
    assert found["Body"].read() == b"ONE\nTWO\n"
    assert (found["ContentType"], found["Metadata"]) == ("text/plain", {"kind": "a/text"})
    assert read(s3, "python", "tail", "large") == b"56789"
    assert read(s3, "python", "size", "large") == b"3000000"
    told = read(s3, "python", "told").decode()
    bucket, key, size, headers, url, kind, environment = eval(told)
    assert (bucket, key, size, url, kind) == ("read", "a/text", 8, "/read/a/text?what=told", "Root")
    assert "authorization" not in headers and "user-agent" in headers
    assert not any("PYRITE" in name for name in environment)
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    s3.put_object(Bucket="read", Key="sealed", Body=b"sealed", **own)
    assert read(s3, "python", "size", "sealed", **own) == b"6"


def test_python_that_fails(s3, tmp_path: Path) -> None:
    """Errors of a function are its own answers; limits of memory and time end it; nothing of its insides is told."""
    assert code_of(read, s3, "python", "refuse") == ("NotForYou", 403)
    with pytest.raises(s3.exceptions.ClientError) as error:
        read(s3, "python", "raise")
    assert "ValueError" in str(error.value) and "secret" not in str(error.value)
    written = tmp_path / "written"
    for what in ("memory", f"write&file={written}", "header", "cookie", "exit"):
        assert code_of(read, s3, "python", what)[1] == 500, what
    assert not written.exists() or written.read_bytes() == b""  # the latter where the kernel has no Landlock
    with pytest.raises(Exception, match=r"IncompleteRead|broken|Connection"):
        read(s3, "python", "late")
    assert read(s3, "python", "upper") == b"ONE\nTWO\n"


def test_what_a_function_may_not(own: Server, s3, tmp_path: Path) -> None:
    """It does not see the server's environment; where the kernel has Landlock it removes no file and sees no drive."""
    assert "PermissionError" in str(refused_by(s3, "parent"))
    kept = tmp_path / "kept"
    kept.write_bytes(b"x")
    if confined():
        assert "PermissionError" in str(refused_by(s3, f"remove&file={kept}"))
        assert kept.read_bytes() == b"x"
        for file in (own.drives[0] / "pyrite.json", own.drives[0].parent / "functions.toml"):
            assert file.exists() and "PermissionError" in str(refused_by(s3, f"look&file={file}"))


def confined() -> bool:
    """Whether the kernel has Landlock."""
    program = "from pyrite.core.confine import confine; raise SystemExit(not confine(()).files)"
    return subprocess.run([sys.executable, "-c", program]).returncode == 0


def refused_by(s3, what: str) -> Exception:
    with pytest.raises(s3.exceptions.ClientError) as error:
        read(s3, "python", what)
    return error.value


def test_lengths_are_those_of_the_body(own: Server, s3) -> None:
    """A body that is longer or shorter than was said breaks the connection: nothing of it passes for another answer."""
    for what in ("long", "short"):
        with pytest.raises(Exception, match=r"IncompleteRead|broken|Connection"):
            read(s3, "python", what)
    assert read(s3, "python", "upper") == b"ONE\nTWO\n"


def test_mistakes_of_functions(s3) -> None:
    """What a function says wrongly is its error, and what can only be meant so is taken."""
    for what in ("status", "number"):
        assert "TypeError" in str(refused_by(s3, what)), what
    assert through(s3, "python", "names")["Metadata"] == {"number": "5"}
    assert code_of(read, s3, "hook", "odd") == ("LambdaInvalidResponse", 500)


def test_time_runs_out(s3) -> None:
    """A function that does nothing, or nothing else than compute or read, is ended."""
    for what in ("sleep", "spin", "slow"):
        assert code_of(read, s3, "brief", what)[0] in ("LambdaTimeout", "LambdaResponseNotReceived")


def test_webhook(s3, hook: Hook) -> None:
    """A webhook reads with the caller's rights, repeats its words, and says what the client is told."""
    found = through(s3, "hook", key="large")
    assert hashlib.md5(found["Body"].read()).digest() == hashlib.md5((b"0123456789" * 300_000)[::-1]).digest()
    assert (found["ContentType"], found["ETag"], found["ContentLength"]) == ("text/reversed", '"abc"', 3_000_000)
    event = hook.events[-1]
    assert event["authorization"] == "Bearer t0ken" and event["protocolVersion"] == "1.00"
    assert event["userIdentity"]["type"] == "Root"
    sent = json.dumps(event["userRequest"]).lower()
    assert "authorization" not in sent and "signature" not in sent
    assert code_of(read, s3, "hook", "refuse") == ("NoSuchThing", 404)
    assert code_of(read, s3, "hook", "forge") == ("LambdaInvalidResponse", 500)
    assert code_of(read, s3, "hook", "fail") == ("LambdaRuntimeError", 500)
    assert code_of(read, s3, "hook", "redirect") == ("LambdaRuntimeError", 500)  # it is not followed
    assert code_of(read, s3, "private") == ("LambdaInvocationFailed", 500)


def test_functions_authorise_the_object_its_version_and_the_call(own: Server, s3, hook: Hook) -> None:
    """Reading through a function takes the right to read and the right to call it; a session's key reads as well."""
    iam, sts = own.client(service="iam"), own.client(service="sts")
    iam.create_user(UserName="reader")
    made = iam.create_access_key(UserName="reader")["AccessKey"]

    def allow(*actions: str) -> None:
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=policy)

    few = own.client(made["AccessKeyId"], made["SecretAccessKey"])
    add = lambda request, **_: setattr(  # noqa: E731
        request, "url", request.url + "?lambdaArn=arn:minio:s3-object-lambda::hook:webhook"
    )
    few.meta.events.register("before-sign.s3.GetObject", add)
    allow("s3:GetObject")
    assert code_of(few.get_object, Bucket="read", Key="a/text") == ("AccessDenied", 403)
    allow("lambda:InvokeFunction")
    before = len(hook.events)
    assert code_of(few.get_object, Bucket="read", Key="a/text") == ("AccessDenied", 403)
    assert len(hook.events) == before
    allow("lambda:InvokeFunction", "s3:GetObject")
    assert few.get_object(Bucket="read", Key="a/text")["Body"].read() == b"\nowt\neno"
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket="kept", Key="k", Body=b"old")["VersionId"]
    s3.put_object(Bucket="kept", Key="k", Body=b"new")
    assert few.get_object(Bucket="kept", Key="k")["Body"].read() == b"wen"  # a webhook reads with the same right
    name = "arn%3Aminio%3As3-object-lambda%3A%3Ahook%3Awebhook"
    versioned = f"{own.endpoint}/kept/k?lambdaArn={name}&versionId={old}"
    request = AWSRequest("GET", versioned)
    request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    S3SigV4Auth(Credentials(made["AccessKeyId"], made["SecretAccessKey"]), "s3", "us-east-1").add_auth(request)
    with pytest.raises(urllib.error.HTTPError) as refused:  # a version takes the right to versions
        urllib.request.urlopen(urllib.request.Request(versioned, headers=dict(request.headers)))
    assert refused.value.code == 403 and b"s3:GetObjectVersion" in refused.value.read()
    token = sts.get_session_token()["Credentials"]
    session = boto3.client(
        "s3", endpoint_url=own.endpoint, region_name="us-east-1", aws_access_key_id=token["AccessKeyId"],
        aws_secret_access_key=token["SecretAccessKey"], aws_session_token=token["SessionToken"],
    )  # fmt: skip
    session.meta.events.register("before-sign.s3.GetObject", add)
    assert session.get_object(Bucket="read", Key="a/text")["Body"].read() == b"\nowt\neno"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{own.endpoint}/read/a/text?lambdaArn=arn:minio:s3-object-lambda::hook:webhook")
    assert refused.value.code == 403
    s3.function = ("arn:minio:s3-object-lambda::unknown:webhook", "")
    try:
        assert code_of(s3.get_object, Bucket="read", Key="a/text") == ("LambdaNotFound", 404)
    finally:
        s3.function = ("", "")
