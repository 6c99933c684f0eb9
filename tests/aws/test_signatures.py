"""AWS's published examples of Signature Version 4, and what the parsers refuse."""

import pytest

from pyrite.aws import sigv2, sigv4, uri
from pyrite.aws.errors import AuthFault, Fault
from pyrite.aws.payload import ChunkSigner, PayloadDecoder
from pyrite.aws.uri import split_target

# AWS, "Examples: signature calculations" in the Amazon S3 API Reference.
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DATE = "20130524T000000Z"
SCOPE = "20130524/us-east-1/s3/aws4_request"
HOST = (b"host", b"examplebucket.s3.amazonaws.com")
EMPTY = sigv4.EMPTY_SHA256.encode()
KEY = sigv4.signing_key(SECRET, "20130524", "us-east-1", "s3")

EXAMPLES = [
    (
        b"GET", b"/test.txt", [HOST, (b"range", b"bytes=0-9"), (b"x-amz-content-sha256", EMPTY), (b"x-amz-date", DATE.encode())],
        EMPTY, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    (
        b"PUT", b"/test$file.text",
        [
            (b"date", b"Fri, 24 May 2013 00:00:00 GMT"), HOST,
            (b"x-amz-content-sha256", b"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
            (b"x-amz-date", DATE.encode()), (b"x-amz-storage-class", b"REDUCED_REDUNDANCY"),
        ],
        b"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    (
        b"GET", b"/?lifecycle", [HOST, (b"x-amz-content-sha256", EMPTY), (b"x-amz-date", DATE.encode())],
        EMPTY, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    (
        b"GET", b"/?max-keys=2&prefix=J", [HOST, (b"x-amz-content-sha256", EMPTY), (b"x-amz-date", DATE.encode())],
        EMPTY, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "headers", "payload", "expected"), EXAMPLES)
def test_published_examples(method: bytes, target: bytes, headers: list, payload: bytes, expected: str) -> None:
    """The four examples of the S3 reference give the signatures printed there."""
    signed = tuple(name for name, _ in headers)
    canonical = sigv4.canonical_request(method, split_target(target), dict(headers), signed, payload)
    assert sigv4.sign(KEY, sigv4.string_to_sign(DATE, SCOPE, canonical)) == expected


def test_published_presigned_url() -> None:
    """The presigned example of the S3 reference gives the signature printed there."""
    query = (
        b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        b"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        b"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    target = split_target(b"/test.txt?" + query)
    claim, date = sigv4.parse_presigned(dict(target.query))
    canonical = sigv4.canonical_request(
        b"GET", target, dict([HOST]), claim.signed_headers, sigv4.UNSIGNED_PAYLOAD, b"X-Amz-Signature"
    )
    assert sigv4.sign(KEY, sigv4.string_to_sign(date, claim.credential.scope, canonical)) == claim.signature
    assert (claim.expires_s, claim.credential.access_key) == (86400, "AKIAIOSFODNN7EXAMPLE")


CHUNKS = [
    (65536, b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]
TRAILER_CHUNKS = [
    (65536, b"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
    (1024, b"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
    (0, b"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
]
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
TRAILER_SEED = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
TRAILER = (
    b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
)


def encode_chunks(chunks: list, trailer: bytes = b"", letter: bytes = b"a") -> bytes:
    wire = b""
    for size, signature in chunks:
        wire += b"%x;chunk-signature=%b\r\n" % (size, signature) + letter * size + (b"\r\n" if size else b"")
    return wire + trailer + b"\r\n"


def decode(wire: bytes, seed: str, announced: tuple[bytes, ...], step: int) -> bytes:
    decoder = PayloadDecoder(ChunkSigner(KEY, DATE, SCOPE, seed), announced, 66560)
    out = b""
    for start in range(0, len(wire), step):
        out += b"".join(bytes(view) for view in decoder.feed(wire[start : start + step]))
    decoder.finish()
    return out


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
def test_published_chunk_signatures(step: int) -> None:
    """The chunked examples of the S3 reference verify, however the bytes are split."""
    assert decode(encode_chunks(CHUNKS), SEED, (), step) == b"a" * 66560
    wire = encode_chunks(TRAILER_CHUNKS, TRAILER)
    assert decode(wire, TRAILER_SEED, (b"x-amz-checksum-crc32c",), step) == b"a" * 66560


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        (encode_chunks(CHUNKS, letter=b"b"), Fault.MISMATCH),
        (encode_chunks([CHUNKS[0], (1024, b"0" * 64), CHUNKS[2]]), Fault.MISMATCH),
        (encode_chunks([CHUNKS[1], CHUNKS[0], CHUNKS[2]]), Fault.MISMATCH),
        (encode_chunks(CHUNKS)[:-40], Fault.INCOMPLETE_BODY),
        (encode_chunks(CHUNKS[:2])[:-2], Fault.INCOMPLETE_BODY),
        (b"zz;chunk-signature=00\r\n", Fault.INCOMPLETE_BODY),
        (b"10000\r\n", Fault.INCOMPLETE_BODY),
        (encode_chunks(CHUNKS, b"x-amz-checksum-crc32c:AAAA\r\n"), Fault.MALFORMED_TRAILER),
    ],
)
def test_tampered_chunks(wire: bytes, fault: Fault) -> None:
    """A changed, swapped, missing or malformed chunk, and a trailer that was not announced, are told apart."""
    with pytest.raises(AuthFault) as caught:
        decode(wire, SEED, (), 4096)
    assert caught.value.fault is fault


@pytest.mark.parametrize("change", [b"sOO8/R==", b"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e436"])
def test_tampered_trailers(change: bytes) -> None:
    """A changed trailer or trailer signature does not verify."""
    trailer = TRAILER.replace(change[:-3] + (b"Q==" if change.endswith(b"==") else b"435"), change)
    assert trailer != TRAILER
    with pytest.raises(AuthFault) as caught:
        decode(encode_chunks(TRAILER_CHUNKS, trailer), TRAILER_SEED, (b"x-amz-checksum-crc32c",), 4096)
    assert caught.value.fault is Fault.MISMATCH


PREFIX = b"AWS4-HMAC-SHA256 "
GOOD = b"Credential=A/K/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-date,Signature=00ff"


def test_authorization_forms() -> None:
    """Spaces and field order are free, and access keys may hold slashes."""
    fields = GOOD.split(b",")
    for value in (GOOD, b", ".join(fields), b",".join(fields[::-1]), b", ".join([fields[2], fields[0], fields[1]])):
        claim = sigv4.parse_authorization(PREFIX + value)
        assert (claim.credential.access_key, claim.signature) == ("A/K", "00ff")
        assert claim.signed_headers == (b"host", b"x-amz-date")


@pytest.mark.parametrize(
    "value",
    [
        b"", b"Signature=00", b"Credential=,SignedHeaders=host,Signature=00", GOOD.replace(b"/s3/", b"/ec2/"),
        GOOD.replace(b"aws4_request", b"aws3_request"), GOOD.replace(b"20130524", b"2013-05-24"), GOOD.replace(b"host;", b""),
        GOOD.replace(b"host;x-amz-date", b"x-amz-date;host"), GOOD.replace(b"host", b"Host"), GOOD.replace(b",Signature=00ff", b""),
    ],
)  # fmt: skip
def test_malformed_authorization(value: bytes) -> None:
    """What is not three well-formed components is MALFORMED_AUTHORIZATION."""
    with pytest.raises(AuthFault) as caught:
        sigv4.parse_authorization(PREFIX + value)
    assert caught.value.fault is Fault.MALFORMED_AUTHORIZATION


def test_dates() -> None:
    """Skew, expiry and a scope of another day are told apart, before any signature is computed."""
    claim = sigv4.parse_authorization(PREFIX + GOOD)
    now = 1369353600
    sigv4.check_date(DATE, claim, now + 899)
    for date, at, fault in (
        (DATE, now + 901, Fault.SKEWED),
        (DATE, now - 901, Fault.SKEWED),
        ("nonsense", now, Fault.MISSING_DATE),
        ("20130523T235959Z", now, Fault.MALFORMED_AUTHORIZATION),
    ):
        with pytest.raises(AuthFault) as caught:
            sigv4.check_date(date, claim, at)
        assert caught.value.fault is fault
    presigned = claim._replace(expires_s=60)
    sigv4.check_date(DATE, presigned, now + 59)
    for at, fault in ((now + 60, Fault.EXPIRED), (now - 901, Fault.NOT_YET_VALID)):
        with pytest.raises(AuthFault) as caught:
            sigv4.check_date(DATE, presigned, at)
        assert caught.value.fault is fault


def test_two_queries_of_version_2_have_two_signatures() -> None:
    """A value with `&` in it would sign like two fields: Version 2 refuses it."""
    one = uri.parse_query(b"response-content-type=a%26versionId%3Dnull")
    with pytest.raises(AuthFault):
        sigv2.string_to_sign(b"GET", b"/b/k", one, {}, b"1")


def _authorization(signed: str) -> bytes:
    return (
        f"AWS4-HMAC-SHA256 Credential=A/20130524/us-east-1/s3/aws4_request,SignedHeaders={signed},Signature=00".encode()
    )


@pytest.mark.parametrize("signed", ["host;host", "a;a;host", ";".join([*(f"a{n:03d}" for n in range(200)), "host"])])
def test_lists_of_signed_headers_that_are_refused(signed: str) -> None:
    """Names that are signed twice, or more of them than anybody sends, are refused."""
    with pytest.raises(AuthFault) as caught:
        sigv4.parse_authorization(_authorization(signed))
    assert caught.value.fault is Fault.MALFORMED_AUTHORIZATION


def test_a_long_canonical_request_is_not_shown() -> None:
    """What was signed is told to who signed wrongly, unless it is long."""
    claim = sigv4.parse_authorization(_authorization("host"))
    for size, shown in ((100, True), (sigv4.SHOWN_MAX_BYTES + 1, False)):
        assert ("CanonicalRequest" in dict(sigv4.mismatch(claim, b"t", b"x" * size).details)) == shown
