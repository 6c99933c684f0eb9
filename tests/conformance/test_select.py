"""SelectObjectContent as boto3 users see it: events, progress, errors, sealed objects, permissions."""

import gzip

import pytest
from botocore.exceptions import ClientError, EventStreamError

from tests.server import Server

CSV_IN = {"CSV": {"FileHeaderInfo": "USE"}}
ROWS = b"id,name\n" + b"".join(b"%d,n%d\n" % (at, at % 7) for at in range(200_000))


@pytest.fixture(scope="module")
def s3(server: Server):
    client = server.client()
    client.create_bucket(Bucket="selected")
    client.put_object(Bucket="selected", Key="rows.csv", Body=ROWS)
    return client


def select(s3, expression: str, key: str = "rows.csv", given=None, wanted=None, **more):
    answer = s3.select_object_content(
        Bucket="selected", Key=key, ExpressionType="SQL", Expression=expression,
        InputSerialization=given or CSV_IN, OutputSerialization=wanted or {"CSV": {}}, **more,
    )  # fmt: skip
    return list(answer["Payload"])


def records(events) -> bytes:
    return b"".join(event["Records"]["Payload"] for event in events if "Records" in event)


def test_events(s3) -> None:
    """Records come in several events, then progress and counts, then the end; nothing is lost on the way."""
    events = select(s3, "SELECT * FROM S3Object", RequestProgress={"Enabled": True})
    assert records(events) == ROWS.partition(b"\n")[2]
    kinds = [next(iter(event)) for event in events]
    assert kinds.count("Records") > 1 and kinds[-3:] == ["Progress", "Stats", "End"]
    size = len(ROWS)
    returned = size - len(b"id,name\n")
    assert events[-2]["Stats"]["Details"] == {
        "BytesScanned": size, "BytesProcessed": size, "BytesReturned": returned
    }  # fmt: skip
    assert "Progress" not in [next(iter(event)) for event in select(s3, "SELECT id FROM S3Object LIMIT 1")]


def test_inputs_and_outputs(s3) -> None:
    """Compression, ranges of a scan and JSON output are honoured over the wire."""
    s3.put_object(Bucket="selected", Key="rows.gz", Body=gzip.compress(ROWS))
    given = {"CSV": {"FileHeaderInfo": "USE"}, "CompressionType": "GZIP"}
    one = "SELECT * FROM S3Object s WHERE CAST(s.id AS INT) = 77"
    assert records(select(s3, one, "rows.gz", given, {"JSON": {"RecordDelimiter": ";"}})) == b'{"id":"77","name":"n0"};'
    plain = {"CSV": {"FileHeaderInfo": "NONE"}}
    assert records(select(s3, "SELECT * FROM S3Object", given=plain, ScanRange={"Start": 1, "End": 13})) == (
        b"0,n0\n1,n1\n"
    )
    assert records(select(s3, "SELECT * FROM S3Object", given=plain, ScanRange={"End": 15})) == b"199999,n2\n"


def test_refusals(s3) -> None:
    """What cannot be asked is an error before any event; what goes wrong on the way is one in the stream."""

    def code(expression: str, **more) -> str:
        with pytest.raises(ClientError) as caught:
            select(s3, expression, **more)
        assert not isinstance(caught.value, EventStreamError)
        return caught.value.response["Error"]["Code"]

    assert code("SELECT") == "ParseSelectMissingFrom"
    assert code("SELECT nope FROM S3Object") == "MissingHeaders"
    assert code("SELECT * FROM S3Object", key="absent") == "NoSuchKey"
    assert code("SELECT * FROM S3Object", given={"CSV": {"FileHeaderInfo": "MAYBE"}}) == "InvalidFileHeaderInfo"
    assert code("SELECT * FROM S3Object", given={"JSON": {"Type": "TREE"}}) == "InvalidJsonType"
    assert code("SELECT * FROM S3Object", given={"CSV": {"FieldDelimiter": "ab"}}) == "InvalidRequestParameter"
    assert code("SELECT * FROM S3Object", ScanRange={"Start": 9, "End": 3}) == "InvalidScanRange"
    assert code("SELECT * FROM S3Object", given={"Parquet": {}}, ScanRange={"Start": 0}) == "UnsupportedScanRangeInput"
    late = ROWS + b"last,n\n"
    s3.put_object(Bucket="selected", Key="late.csv", Body=late)
    with pytest.raises(EventStreamError) as caught:
        select(s3, "SELECT CAST(id AS INT) FROM S3Object", "late.csv")
    assert "CastFailed" in str(caught.value)


def test_sealed_with_the_clients_key(s3) -> None:
    """An object that is sealed with a client's key is queried with it, and not without."""
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    s3.put_object(Bucket="selected", Key="sealed", Body=ROWS, **key)
    count = "SELECT COUNT(*) FROM S3Object"
    try:
        assert records(select(s3, count, "sealed", **key)) == b"200000\n"
    except ClientError as error:  # without TLS such keys are refused, as for GET
        assert "secure" in str(error).lower()
    with pytest.raises(ClientError):
        select(s3, count, "sealed")


def test_a_client_that_leaves_ends_its_query(s3) -> None:
    """Closing a stream half way frees what the query held: as many as can run at once do, many times over."""
    for _ in range(12):
        answer = s3.select_object_content(
            Bucket="selected", Key="rows.csv", ExpressionType="SQL", Expression="SELECT * FROM S3Object",
            InputSerialization=CSV_IN, OutputSerialization={"CSV": {}},
        )  # fmt: skip
        next(iter(answer["Payload"]))
        answer["Payload"].close()
    assert records(select(s3, "SELECT COUNT(*) FROM S3Object")) == b"200000\n"
