"""Websites as a browser sees them: pages, redirects, rules, errors, and what is not to be seen."""

import http.client
import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.server import Server

RULES = [
    {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}},
    {"Condition": {"KeyPrefixEquals": "gone/", "HttpErrorCodeReturnedEquals": "404"},
     "Redirect": {"HostName": "elsewhere.example", "Protocol": "https", "HttpRedirectCode": "302",
                  "ReplaceKeyWith": "was here?.html"}},
]  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A server with the website domain web.test, and a site in it."""
    drive: Path = tmp_path_factory.mktemp("site") / "d1"
    with Server([drive], "--website-domain", "web.test") as server:
        s3 = server.client()
        s3.create_bucket(Bucket="pages")
        s3.delete_public_access_block(Bucket="pages")
        grant = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::pages/*"},
                {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::pages"},
                {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::pages/secret*",
                 "Condition": {"StringNotEquals": {"aws:PrincipalType": "Account"}}},
            ],
        }  # fmt: skip
        s3.put_bucket_policy(Bucket="pages", Policy=json.dumps(grant))
        for key in ("index.html", "docs/index.html", "new/a.html", "secret.html", "error.html"):
            s3.put_object(Bucket="pages", Key=key, Body=f"page {key}".encode(), ContentType="text/html")
        s3.put_object(Bucket="pages", Key="moved", Body=b"", WebsiteRedirectLocation="/new/a.html")
        s3.put_bucket_website(
            Bucket="pages",
            WebsiteConfiguration={
                "IndexDocument": {"Suffix": "index.html"},
                "ErrorDocument": {"Key": "error.html"},
                "RoutingRules": RULES,
            },
        )
        yield server


def visit(server: Server, path: str, host: str = "pages.web.test", method: str = "GET", **headers: str):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        connection.request(method, path, headers={"Host": host, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def test_pages(site: Server) -> None:
    """The index stands for its folder, ranges and HEAD work, a query changes nothing."""
    assert visit(site, "/")[:2] == (200, "page index.html")
    assert visit(site, "/docs/?versionId=x&acl")[:2] == (200, "page docs/index.html")
    assert visit(site, "/index.html", Range="bytes=0-3")[:2] == (206, "page")
    status, body, headers = visit(site, "/index.html", method="HEAD")
    assert (status, body, headers["content-length"]) == (200, "", "15")
    assert visit(site, "/index.html", **{"If-None-Match": headers["etag"]})[0] == 304


def test_redirects(site: Server) -> None:
    """Folders without a slash, objects that moved and rules lead where they say."""
    assert visit(site, "/docs")[0] == 302 and visit(site, "/docs")[2]["location"] == "/docs/"
    assert visit(site, "/moved")[0] == 301 and visit(site, "/moved")[2]["location"] == "/new/a.html"
    status, _, headers = visit(site, "/old/a.html")
    assert (status, headers["location"]) == (301, "http://pages.web.test/new/a.html")
    status, _, headers = visit(site, "/gone/x")
    assert (status, headers["location"]) == (302, "https://elsewhere.example/was%20here%3F.html")
    site.client().put_object(Bucket="pages", Key="/evil.example/index.html", Body=b"")
    assert visit(site, "//evil.example")[2]["location"] == "/%2Fevil.example/"
    assert visit(site, "/gone%0d%0aSet-Cookie:x/y")[0] == 404


def test_where_an_object_moved(site: Server) -> None:
    """An object may point to a path or to a URL of the web, and to nothing else."""
    for location in ("javascript:alert(1)", "new/a.html", "//" * 1025):
        with pytest.raises(ClientError, match="InvalidRedirectLocation"):
            site.client().put_object(Bucket="pages", Key="moved", Body=b"", WebsiteRedirectLocation=location)


def test_errors_are_pages(site: Server) -> None:
    """What is missing or hidden shows the site's error page with its own status; the rest are pages of ours."""
    assert visit(site, "/absent")[:2] == (404, "page error.html")
    assert visit(site, "/absent", Range="bytes=0-3")[:2] == (404, "page error.html")
    assert visit(site, "/secret.html")[:2] == (403, "page error.html")
    assert visit(site, "/", method="PUT")[0] == 405
    status, body, headers = visit(site, "/<b>", host="absent-site.web.test")
    assert status == 404 and "NoSuchBucket" in body and headers["content-type"].startswith("text/html")
    site.client().create_bucket(Bucket="no-pages")
    status, body, _ = visit(site, "/", host="no-pages.web.test")
    assert status == 404 and "NoSuchWebsiteConfiguration" in body
    site.client().delete_object(Bucket="pages", Key="error.html")
    status, body, _ = visit(site, "/%3Cscript%3E")
    assert status == 404 and "<script>" not in body and "NoSuchKey" in body


def test_a_site_whose_visitors_would_pay(site: Server) -> None:
    """Where the requester pays, nobody reads without a name, so there is no site."""
    s3 = site.client()
    s3.put_bucket_request_payment(Bucket="pages", RequestPaymentConfiguration={"Payer": "Requester"})
    try:
        assert visit(site, "/index.html")[0] == 403
    finally:
        s3.put_bucket_request_payment(Bucket="pages", RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert visit(site, "/index.html")[0] == 200


def test_everything_elsewhere(site: Server) -> None:
    """A site may send all its visitors elsewhere; without the configuration it is no site any more."""
    s3 = site.client()
    s3.create_bucket(Bucket="left")
    s3.put_bucket_website(
        Bucket="left", WebsiteConfiguration={"RedirectAllRequestsTo": {"HostName": "a.example", "Protocol": "https"}}
    )
    status, _, headers = visit(site, "/x/y z".replace(" ", "%20"), host="left.web.test:9000")
    assert (status, headers["location"]) == (301, "https://a.example/x/y%20z")
    assert s3.get_bucket_website(Bucket="left")["RedirectAllRequestsTo"] == {
        "HostName": "a.example",
        "Protocol": "https",
    }
    s3.delete_bucket_website(Bucket="left")
    with pytest.raises(ClientError, match="NoSuchWebsiteConfiguration"):
        s3.get_bucket_website(Bucket="left")


def test_documents(site: Server) -> None:
    """A document comes back as it was meant; one that means nothing is refused with AWS's code."""
    s3 = site.client()
    shown = s3.get_bucket_website(Bucket="pages")
    assert shown["IndexDocument"] == {"Suffix": "index.html"} and shown["RoutingRules"] == RULES
    for document, code in (
        ({"IndexDocument": {"Suffix": "a/b"}}, "InvalidArgument"),
        ({"ErrorDocument": {"Key": "x"}}, "InvalidArgument"),
        ({"RedirectAllRequestsTo": {"HostName": "x"}, "IndexDocument": {"Suffix": "i"}}, "InvalidArgument"),
        ({"RedirectAllRequestsTo": {"HostName": "x\r\ny"}}, "InvalidRequest"),
        ({"IndexDocument": {"Suffix": "i"}, "RoutingRules": [{"Redirect": {"HttpRedirectCode": "200"}}]}, "InvalidRequest"),
        ({"IndexDocument": {"Suffix": "i"}, "RoutingRules": [
            {"Redirect": {"ReplaceKeyWith": "a", "ReplaceKeyPrefixWith": "b"}}]}, "InvalidRequest"),
        ({"IndexDocument": {"Suffix": "i"}, "RoutingRules": [{"Redirect": {"HostName": "h"}}] * 51}, "InvalidRequest"),
    ):  # fmt: skip
        with pytest.raises(ClientError) as caught:
            s3.put_bucket_website(Bucket="pages", WebsiteConfiguration=document)
        assert caught.value.response["Error"]["Code"] == code, document
