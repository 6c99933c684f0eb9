"""Owns topics: names for where events go, with a policy that says who may publish to them.

They are what S3 needs of Amazon SNS. Source: AWS, "Amazon SNS API Reference".
"""

import re
from collections.abc import Mapping

import msgspec

from pyrite.aws.arns import PARTITION, MalformedArn, parse_arn
from pyrite.iam.changing import Change, View
from pyrite.iam.errors import InvalidInput, NoSuchEntity
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.records import FORMAT, TopicRecord, topic_key, topics_of

ATTRIBUTES = ("DisplayName", "Policy", "DeliveryPolicy", "push-endpoint", "OpaqueData", "persistent")
ENDPOINT = "push-endpoint"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}(\.fifo)?\Z")
_VALUE_MAX_CHARS = 30_000


def topic_arn(region: str, account: str, name: str) -> str:
    """The ARN of a topic."""
    return f"arn:{PARTITION}:sns:{region}:{account}:{name}"


def split_arn(arn: str) -> tuple[str, str]:
    """Account and name of a topic. Raises InvalidInput."""
    try:
        parsed = parse_arn(arn)
    except MalformedArn:
        raise InvalidInput(f"Invalid parameter: TopicArn {arn}") from None
    if parsed.service != "sns" or not _NAME.match(parsed.resource):
        raise InvalidInput(f"Invalid parameter: TopicArn {arn}")
    return parsed.account, parsed.resource


async def find(view: View, arn: str) -> TopicRecord:
    """A topic. Raises NoSuchEntity or InvalidInput."""
    account, name = split_arn(arn)
    found = await view.get(TopicRecord, topic_key(account, name))
    if found is None:
        raise NoSuchEntity("Topic does not exist")
    return found


async def list_all(view: View, account: str) -> list[TopicRecord]:
    """The topics of an account, by name."""
    return await view.scan(TopicRecord, topics_of(account))


async def create(change: Change, account: str, name: str, attributes: Mapping[str, str]) -> TopicRecord:
    """Make a topic; one that is there keeps what is not given. Raises InvalidInput."""
    if not _NAME.match(name):
        raise InvalidInput("Invalid parameter: Topic Name")
    _check(attributes)
    found = await change.get(TopicRecord, topic_key(account, name))
    record = found or TopicRecord(FORMAT, account, name, change.now_ms)
    record = msgspec.structs.replace(record, attributes={**record.attributes, **attributes})
    change.put(topic_key(account, name), record)
    return record


async def set_attribute(change: Change, arn: str, name: str, value: str) -> None:
    """Set an attribute of a topic. Raises NoSuchEntity or InvalidInput."""
    record = await find(change, arn)
    _check({name: value})
    attributes = {**record.attributes, name: value}
    change.put(topic_key(record.account, record.name), msgspec.structs.replace(record, attributes=attributes))


async def delete(change: Change, arn: str) -> None:
    """Delete a topic, if it is there. Raises InvalidInput."""
    account, name = split_arn(arn)
    change.erase(topic_key(account, name))


def _check(attributes: Mapping[str, str]) -> None:
    for name, value in attributes.items():
        if name not in ATTRIBUTES or len(value) > _VALUE_MAX_CHARS:
            raise InvalidInput(f"Invalid parameter: AttributeName {name}")
        if name == "Policy" and value:
            parse_policy(value, Use.RESOURCE, "topic policy")
        if name == ENDPOINT and value and not value.startswith(("http://", "https://")):
            raise InvalidInput("A push-endpoint is a URL of http or https; other targets are the operator's to declare")
