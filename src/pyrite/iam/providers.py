"""Owns OpenID Connect providers as identities: which issuers an account trusts, and for which clients.

Source: AWS, "Create an OpenID Connect (OIDC) identity provider in IAM".
"""

import re
from collections.abc import Iterable, Mapping

import msgspec

from pyrite.aws.arns import MalformedArn, parse_arn
from pyrite.iam.changing import Change, View
from pyrite.iam.errors import EntityExists, InvalidInput, LimitExceeded, NoSuchEntity
from pyrite.iam.names import check_tags
from pyrite.iam.records import ProviderRecord, named, named_key

CLIENT_IDS_MAX = 100
THUMBPRINTS_MAX = 5

_URL = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?\Z")
_PREFIX = "oidc-provider/"


def _check(url: str, client_ids: Iterable[str], thumbprints: Iterable[str]) -> None:
    if not _URL.match(url) or len(url) > 255:
        raise InvalidInput("The URL of a provider is https://HOST/PATH without a query")
    name = url.partition("://")[2].rstrip("/")
    if not set(name) & set(".:/"):  # its claims are condition keys that begin with it, such as aws:
        raise InvalidInput("A provider has a dot in the name of its host, a port, or a path")
    if any(not 1 <= len(client_id) <= 255 for client_id in client_ids):
        raise InvalidInput("A client id has 1 to 255 characters")
    if any(len(thumbprint) != 40 for thumbprint in thumbprints):
        raise InvalidInput("A thumbprint has 40 characters")


def _check_numbers(record: ProviderRecord) -> ProviderRecord:
    if len(record.client_ids) > CLIENT_IDS_MAX:
        raise LimitExceeded(f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENT_IDS_MAX}")
    if len(record.thumbprints) > THUMBPRINTS_MAX:
        raise LimitExceeded(f"A provider has at most {THUMBPRINTS_MAX} thumbprints")
    return record


async def find(view: View, account: str, arn: str) -> ProviderRecord:
    """The provider with this ARN. Raises NoSuchEntity or InvalidInput."""
    try:
        fields = parse_arn(arn)
    except MalformedArn:
        raise InvalidInput(f"Invalid ARN: {arn}") from None
    if not fields.resource.startswith(_PREFIX):
        raise InvalidInput(f"Invalid ARN: {arn}")
    name = fields.resource.removeprefix(_PREFIX)
    found = None
    if fields.account == account:
        found = await view.get(ProviderRecord, named_key("provider", account, name))
    if found is None or found.arn != arn:  # policies spoke of the ARN as it was spelled
        raise NoSuchEntity(f"OpenIDConnect Provider not found for arn {arn}")
    return found


async def list_all(view: View, account: str) -> list[ProviderRecord]:
    """The providers of an account."""
    return await view.scan(ProviderRecord, named("provider", account))


def _save(change: Change, record: ProviderRecord) -> None:
    change.put(named_key("provider", record.account, record.name), _check_numbers(record))


async def create(
    change: Change,
    account: str,
    url: str,
    client_ids: Iterable[str] = (),
    thumbprints: Iterable[str] = (),
    tags: Mapping[str, str] | None = None,
) -> ProviderRecord:
    """Trust an issuer. Raises EntityExists, InvalidInput or LimitExceeded."""
    clients, prints = tuple(client_ids), tuple(thumbprints)
    _check(url, clients, prints)
    record = ProviderRecord(
        account=account,
        url=url,
        client_ids=tuple(dict.fromkeys(clients)),
        thumbprints=prints,
        created_ms=change.now_ms,
        tags=check_tags(tags or {}),
    )
    if await change.get(ProviderRecord, named_key("provider", account, record.name)) is not None:
        raise EntityExists(f"Provider with url {url} already exists.")
    _save(change, record)
    return record


async def delete(change: Change, account: str, arn: str) -> None:
    """Trust an issuer no more. Raises NoSuchEntity."""
    record = await find(change, account, arn)
    change.erase(named_key("provider", account, record.name))


async def add_client(change: Change, account: str, arn: str, client_id: str) -> None:
    """Accept tokens made for a client. Raises NoSuchEntity, InvalidInput or LimitExceeded."""
    record = await find(change, account, arn)
    _check(record.url, (client_id,), ())
    _save(change, msgspec.structs.replace(record, client_ids=tuple(dict.fromkeys((*record.client_ids, client_id)))))


async def remove_client(change: Change, account: str, arn: str, client_id: str) -> None:
    """Accept tokens made for a client no more. Raises NoSuchEntity."""
    record = await find(change, account, arn)
    kept = tuple(other for other in record.client_ids if other != client_id)
    _save(change, msgspec.structs.replace(record, client_ids=kept))


async def set_thumbprints(change: Change, account: str, arn: str, thumbprints: Iterable[str]) -> None:
    """Replace the thumbprints. Raises NoSuchEntity, InvalidInput or LimitExceeded."""
    prints = tuple(thumbprints)
    record = await find(change, account, arn)
    _check(record.url, (), prints)
    _save(change, msgspec.structs.replace(record, thumbprints=prints))


async def retag(change: Change, account: str, arn: str, tags: Mapping[str, str], without: Iterable[str]) -> None:
    """Add, replace and remove tags. Raises NoSuchEntity, InvalidInput or LimitExceeded."""
    record, gone = await find(change, account, arn), set(without)
    kept = {key: value for key, value in {**record.tags, **tags}.items() if key not in gone}
    _save(change, msgspec.structs.replace(record, tags=check_tags(kept)))
