"""The pure parsers under arbitrary input: they answer or refuse, and nothing else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrite.aws import checksums, dates, uri, xml
from pyrite.aws.checksums import ALGORITHMS
from pyrite.aws.dates import format_basic, parse_basic, parse_http
from pyrite.aws.errors import AuthFault
from pyrite.aws.payload import PayloadDecoder
from pyrite.aws.sigv4 import parse_authorization, parse_presigned
from pyrite.core.chunked import ChunkData, ChunkDecoder, FramingError, Trailers
from pyrite.http.errors import HttpError
from pyrite.http.head import parse_head
from pyrite.http.limits import Limits
from pyrite.s3.errors import S3Error
from pyrite.s3.ranges import parse_range


@given(st.binary(max_size=1100))
def test_keys_survive_encoding(key: bytes) -> None:
    """Any key, encoded into a path in AWS's way or any other, decodes to itself and signs alike."""
    encoded = b"/" + uri.encode(key, "-._~/")
    every = b"/" + b"".join(b"%%%02x" % byte for byte in key).replace(b"%2f", b"/")
    assert uri.decode(encoded) == uri.decode(every) == b"/" + key
    assert uri.canonical_path(encoded) == uri.canonical_path(every) == encoded


@given(st.binary(max_size=200))
def test_targets_never_raise(raw: bytes) -> None:
    """Any request target splits."""
    target = uri.split_target(raw)
    uri.canonical_query(target.query)
    uri.canonical_path(target.path)


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 30), max_size=20))
def test_chunk_framing_round_trips(chunks: list[bytes], cuts: list[int]) -> None:
    """What is framed comes back, however the wire is cut, with what follows it left over."""
    chunks = [chunk for chunk in chunks if chunk]
    wire = b"".join(b"%x;x=y\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nA: b \r\n\r\nREST"
    decoder, out, trailers = ChunkDecoder(), b"", None
    position = 0
    for cut in [*cuts, len(wire)]:
        if decoder.ended:
            break
        piece, position = wire[position : position + cut], position + cut
        for event in decoder.feed(piece):
            if isinstance(event, ChunkData):
                out += bytes(event.view)
            elif isinstance(event, Trailers):
                trailers = event.fields
    assert out == b"".join(chunks) and trailers == ((b"a", b"b"),)
    assert wire[:position].endswith(decoder.rest)


@given(st.binary(max_size=300))
def test_chunk_framing_refuses_or_waits(raw: bytes) -> None:
    """Arbitrary bytes are framing, an unfinished piece of it, or a FramingError; payloads likewise."""
    with contextlib.suppress(FramingError):
        list(ChunkDecoder().feed(raw))
    with contextlib.suppress(AuthFault):
        decoder = PayloadDecoder(None, (), 100)
        list(decoder.feed(raw))
        decoder.finish()


@given(st.binary(max_size=400))
def test_heads_are_parsed_or_refused(raw: bytes) -> None:
    """Arbitrary bytes as a head are an HttpError or a head whose framing is unambiguous."""
    for prefix in (b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"PUT /a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"):
        try:
            head = parse_head(prefix + raw.replace(b"\r\n\r\n", b"") + b"\r\n\r\n", Limits())
        except HttpError:
            continue
        assert (b"transfer-encoding" in head.fields) <= (head.length is None)
        assert head.length is None or head.length >= 0


@given(st.text(max_size=60))
def test_text_parsers_never_crash(text: str) -> None:
    """Dates, ranges and signatures of any text are parsed or refused."""
    parse_basic(text)
    parse_http(text)
    with contextlib.suppress(S3Error):
        chosen = parse_range("bytes=" + text, 1000)
        assert chosen is None or 0 <= chosen.start < chosen.stop <= 1000
    with contextlib.suppress(AuthFault):
        parse_authorization(b"AWS4-HMAC-SHA256 " + text.encode())
    with contextlib.suppress(AuthFault):
        parse_presigned({name: text.encode() for name in (b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Date")})


@given(st.integers(0, 4_000_000_000))
def test_basic_dates_round_trip(seconds: int) -> None:
    """A basic ISO date is its second."""
    assert parse_basic(format_basic(seconds)) == seconds


XML_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), max_size=30)


@given(XML_TEXT.filter(lambda text: all(c >= " " or c in "\t\n\r" for c in text)))
def test_text_survives_xml(text: str) -> None:
    """Escaped text comes back through the parser unchanged."""
    assert xml.parse(f"<a>{xml.element('b', text)}</a>".encode()).find("b") == text


@given(st.binary(max_size=300))
def test_xml_is_parsed_or_refused(raw: bytes) -> None:
    """Arbitrary bytes are a document or MalformedXml."""
    with contextlib.suppress(xml.MalformedXml):
        xml.parse(raw)


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b"<a>" * 40 + b"</a>" * 40,
        b"<a>" + b"<b/>" * xml.ELEMENTS_MAX + b"</a>",
        b"<a>&undefined;</a>",
        b"",
    ],
)
def test_dangerous_xml_is_refused(document: bytes) -> None:
    """Entities, external references, deep and huge documents are MalformedXml."""
    with pytest.raises(xml.MalformedXml):
        xml.parse(document)


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME"])
@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=6))
def test_checksums_combine_over_parts(name: str, parts: list[bytes]) -> None:
    """A full-object checksum from those of the parts equals that of the whole."""
    algorithm = ALGORITHMS[name]

    def digest(data: bytes) -> bytes:
        hasher = algorithm.make()
        hasher.update(data)
        return hasher.digest()

    combined = checksums.full_object(algorithm, [(digest(part), len(part)) for part in parts])
    assert combined == checksums.encode(digest(b"".join(parts)))


@pytest.mark.parametrize("text", ["00000101T000000Z", "20260230T000000Z", "20260101T240000Z", "20260101T00000²Z"])
def test_moments_that_there_are_not(text: str) -> None:
    """A date or time that no calendar or clock knows is none, and raises nothing."""
    assert parse_basic(text) is None


@pytest.mark.parametrize("text", ["Mon", "1 Jan", ",", "Fri, 01 Jan 99999999999999999999 00:00:00 GMT", "0 a:a:"])
def test_dates_that_are_half_there(text: str) -> None:
    """Dates that break off, or are too far away, raise nothing."""
    assert parse_http(text) is None


def test_long_dates_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A date longer than dates are is none, without being parsed."""
    monkeypatch.setattr(dates, "parsedate_tz", lambda _: pytest.fail("it is parsed"))
    assert parse_http("Mon, " * 100) is None


@pytest.mark.parametrize("encoding", ["utf-7", "idna", "hex", "none-such", "utf-16"])
def test_encodings_that_are_refused(encoding: str) -> None:
    """A document is read in encodings of text that parsers of XML know, and in no other."""
    with pytest.raises(xml.MalformedXml):
        xml.parse(f'<?xml version="1.0" encoding="{encoding}"?><a>+AGE-</a>'.encode())


def test_the_largest_completion_is_parsed() -> None:
    """A list of 10,000 parts with two checksums each is within the limit of elements."""
    checksums_of_it = "<ChecksumCRC32>c</ChecksumCRC32><ChecksumSHA1>c</ChecksumSHA1>"
    part = f"<Part><PartNumber>1</PartNumber><ETag>e</ETag>{checksums_of_it}</Part>"
    root = xml.parse(f"<CompleteMultipartUpload>{part * 10_000}</CompleteMultipartUpload>".encode(), xml.ELEMENTS_MAX)
    assert len(root.children) == 10_000
