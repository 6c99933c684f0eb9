"""Event notifications: told in order, at least once, to webhooks and brokers, whatever happens in between."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from minio import Minio
from urllib3.exceptions import HTTPError

from tests.brokers import BROKERS
from tests.conformance.test_boto3 import code_of
from tests.server import ACCESS_KEY, SECRET_KEY, Server, wait_until

LOOPBACK = ("--outbound", "127.0.0.0/8")


class Sink:
    """A webhook that remembers what it was sent; while `broken` it refuses everything."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.broken = False
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body, refuses = self.rfile.read(int(self.headers["content-length"])), sink.broken
                if not refuses:
                    sink.events.append(json.loads(body))
                    sink.headers.append(dict(self.headers))
                self.send_response(500 if refuses else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    @property
    def names(self) -> list[tuple[str, str]]:
        """Event and key of all records, in the order in which they came."""
        records = [record for event in self.events for record in event.get("Records", [])]
        return [(record["eventName"], record["s3"]["object"]["key"]) for record in records]


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def telling(tmp_path_factory, sink: Sink) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("telling")
    targets = folder / "targets.toml"
    targets.write_text(f'[[target]]\nname = "hook"\nkind = "webhook"\nurl = "{sink.url}"\ntoken = "word"\n')
    with Server([folder / "d"], *LOOPBACK, "--targets", str(targets)) as server:
        yield server


@pytest.fixture
def s3(telling: Server, sink: Sink):
    sink.events.clear()
    sink.broken = False
    return telling.client()


@pytest.fixture
def bucket(s3, request) -> str:
    name = "n-" + hashlib.md5(request.node.name.encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=name)
    return name


HOOK = "arn:aws:sqs:us-east-1:000000000000:hook"


def tell(s3, bucket: str, events: list[str], prefix: str = "", suffix: str = "", target: str = HOOK) -> None:
    rules = [{"Name": "prefix", "Value": prefix}, {"Name": "suffix", "Value": suffix}]
    queue = {"Id": "mine", "QueueArn": target, "Events": events, "Filter": {"Key": {"FilterRules": rules}}}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [queue]})


def test_what_happens_is_told(s3, bucket: str, sink: Sink) -> None:
    """Puts, copies, uploads, tags and deletes are told in their order, with what AWS tells of them."""
    tell(s3, bucket, ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*"], "in/")
    wait_until(lambda: sink.events)
    assert sink.events[0]["Event"] == "s3:TestEvent" and sink.events[0]["Bucket"] == bucket
    s3.put_object(Bucket=bucket, Key="in/a b", Body=b"four")
    s3.put_object(Bucket=bucket, Key="out", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="in/copy", CopySource=f"{bucket}/out")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="in/parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="in/parts", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="in/parts", UploadId=upload, MultipartUpload=parts)
    s3.put_object_tagging(Bucket=bucket, Key="in/copy", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object(Bucket=bucket, Key="in/copy")
    expected = [
        ("ObjectCreated:Put", "in/a+b"),
        ("ObjectCreated:Copy", "in/copy"),
        ("ObjectCreated:CompleteMultipartUpload", "in/parts"),
        ("ObjectTagging:Put", "in/copy"),
        ("ObjectRemoved:Delete", "in/copy"),
    ]
    wait_until(lambda: len(set(sink.names)) >= len(set(expected)))
    assert list(dict.fromkeys(sink.names)) == expected
    first = sink.events[1]["Records"][0]
    assert (first["s3"]["object"]["size"], first["s3"]["configurationId"]) == (4, "mine")
    assert first["s3"]["object"]["eTag"] == hashlib.md5(b"four").hexdigest()
    assert sink.headers[-1]["Authorization"] == "Bearer word"


def test_versions_are_told(s3, bucket: str, sink: Sink) -> None:
    """Delete markers are told apart from removals, with the versions' ids."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    tell(s3, bucket, ["s3:ObjectRemoved:*"])
    made = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=made)
    wait_until(lambda: len(set(sink.names)) == 2)
    names = [name for name, _ in dict.fromkeys(sink.names)]
    assert names == ["ObjectRemoved:DeleteMarkerCreated", "ObjectRemoved:Delete"]
    told = [event["Records"][0]["s3"]["object"]["versionId"] for event in sink.events if "Records" in event]
    assert list(dict.fromkeys(told)) == [marker, made]


def test_a_target_that_is_down_misses_nothing(telling: Server, s3, bucket: str, sink: Sink) -> None:
    """What a target refuses waits for it, in order, also while the server is killed and started again."""
    tell(s3, bucket, ["s3:ObjectCreated:*"])
    wait_until(lambda: sink.events)
    sink.broken = True
    for n in range(20):
        s3.put_object(Bucket=bucket, Key="same", Body=b"%d" % n)
    telling.kill()
    telling.start()
    sink.broken = False

    def told() -> list[tuple[str, str]]:
        objects = [event["Records"][0]["s3"]["object"] for event in sink.events if "Records" in event]
        return [(one["sequencer"], one["eTag"]) for one in objects]

    wait_until(lambda: len(set(told())) == 20)
    first = list(dict.fromkeys(told()))  # at least once, and in order
    assert first == sorted(first)
    assert [etag for _, etag in first] == [hashlib.md5(b"%d" % n).hexdigest() for n in range(20)]


def test_topics(telling: Server, s3, bucket: str, sink: Sink) -> None:
    """A topic with an endpoint is a target; the operator's networks bound where it may lead."""
    sns = telling.client(service="sns")
    arn = sns.create_topic(Name="events", Attributes={"push-endpoint": sink.url})["TopicArn"]
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["push-endpoint"] == sink.url
    topic = {"TopicArn": arn, "Events": ["s3:ObjectCreated:Put"]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [topic]})
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    wait_until(lambda: ("ObjectCreated:Put", "k") in sink.names)
    assert (
        code_of(sns.set_topic_attributes, TopicArn=arn, AttributeName="push-endpoint", AttributeValue="redis://x")[1]
        == 400
    )
    sns.delete_topic(TopicArn=arn)
    s3.put_object(Bucket=bucket, Key="k", Body=b"")  # what waits for nobody holds up nothing


@pytest.mark.parametrize(
    ("queue", "code"),
    [
        ({"QueueArn": HOOK, "Events": ["s3:Nothing:*"]}, "InvalidArgument"),
        ({"QueueArn": "arn:aws:sqs:us-east-1:000000000000:none", "Events": ["s3:ObjectCreated:*"]}, "InvalidArgument"),
        ({"QueueArn": HOOK, "Events": []}, "MalformedXML"),
        (
            {
                "QueueArn": HOOK,
                "Events": ["s3:ObjectCreated:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "middle", "Value": "x"}]}},
            },
            "InvalidArgument",
        ),
    ],
)
def test_configurations_that_are_refused(s3, bucket: str, queue: dict[str, Any], code: str) -> None:
    """What cannot be told, or to nobody, is refused."""
    config = {"QueueConfigurations": [queue]}
    assert code_of(s3.put_bucket_notification_configuration, Bucket=bucket, NotificationConfiguration=config)[0] == code
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


@pytest.mark.parametrize("kind", BROKERS)
def test_brokers(tmp_path: Path, kind: str) -> None:
    """A real broker gets what happened; skipped where it is not installed."""
    targets = tmp_path / "targets.toml"
    with BROKERS[kind](tmp_path) as broker:
        targets.write_text(f'[[target]]\nname = "hook"\nkind = "{kind}"\nurl = "{broker.url}"\n')
        with Server([tmp_path / "d"], "--targets", str(targets)) as server:
            s3 = server.client()
            s3.create_bucket(Bucket="n-broker")
            tell(s3, "n-broker", ["s3:ObjectCreated:*"])
            for n in range(5):
                s3.put_object(Bucket="n-broker", Key=f"k{n}", Body=b"")
            wait_until(lambda: len(set(broker.keys())) >= 5)
            told = list(dict.fromkeys(broker.keys()))
            assert (told if broker.ordered else sorted(told)) == [f"k{n}" for n in range(5)]


def test_a_live_stream(tmp_path: Path) -> None:
    """MinIO's client hears what happens, of what it asked for, from whichever worker; nothing stays when it hangs up."""
    with Server([tmp_path / "d"], "--workers", "2") as server:
        s3, address = server.client(), server.endpoint.removeprefix("http://")
        s3.create_bucket(Bucket="n-live")
        client = Minio(address, ACCESS_KEY, SECRET_KEY, secure=False)
        heard: list[tuple[str, str]] = []

        def listen() -> None:
            wanted = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectAccessed:*")
            with client.listen_bucket_notification("n-live", prefix="in/", events=wanted) as events:
                for event in events:
                    heard.extend((r["eventName"], r["s3"]["object"]["key"]) for r in event["Records"])
                    if heard and heard[-1][1] == "in/last":
                        return

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()

        def is_heard() -> bool:
            s3.put_object(Bucket="n-live", Key="in/first", Body=b"")
            return bool(heard)

        wait_until(is_heard, pause_s=0.2)
        for n in range(20):
            s3.put_object(Bucket="n-live", Key=f"in/{n:02}", Body=b"")
            s3.put_object(Bucket="n-live", Key=f"out/{n:02}", Body=b"")
        s3.delete_object(Bucket="n-live", Key="in/00")
        s3.put_object(Bucket="n-live", Key="in/last", Body=b"")
        listener.join(120)
        keys = [key for name, key in heard if key != "in/first"]
        assert sorted(set(keys)) == sorted([f"in/{n:02}" for n in range(20)] + ["in/last"])
        assert [name for name, key in heard if key == "in/00"] == ["s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"]
        assert code_of(s3.get_bucket_notification_configuration, Bucket="n-none")[0] == "NoSuchBucket"
        started = threading.Event()

        def listen_for_ever() -> None:
            wanted = ("s3:ObjectCreated:*",)
            with (
                contextlib.suppress(OSError, HTTPError),
                client.listen_bucket_notification("n-live", events=wanted) as events,
            ):
                started.set()
                for _ in events:  # until the server stops, which does not wait for it
                    pass

        threading.Thread(target=listen_for_ever, daemon=True).start()
        assert started.wait(120)
