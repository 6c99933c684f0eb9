"""Owns the actions of SNS that name targets of events: topics and their attributes."""

import json

from pyrite.iam import topics
from pyrite.iam.errors import NoSuchEntity
from pyrite.iam.evaluate import Question, decide
from pyrite.iam.policy import Use, parse_policy
from pyrite.iam.records import TopicRecord
from pyrite.iamapi.call import Call, Handler, Result
from pyrite.iamapi.errors import QueryError
from pyrite.iamapi.wire import Entries

_PAGE = 100


def _arn(call: Call, record: TopicRecord) -> str:
    return topics.topic_arn(call.identities.region, record.account, record.name)


def _require(call: Call, arn: str, record: TopicRecord | None) -> None:
    """Raises QueryError unless policies of the caller, or the topic's own, allow the action."""
    account, _ = topics.split_arn(arn)
    policy = None
    if record is not None and record.attributes.get("Policy"):
        policy = parse_policy(record.attributes["Policy"], Use.RESOURCE, "topic policy")
    caller = call.caller
    owner = caller.owner if account == caller.account else "-"
    question = Question(f"sns:{call.action}", arn, {**call.keys, **caller.keys}, owner, account, policy)
    if not decide(caller, question).allowed:
        raise QueryError("AuthorizationError", f"User: {caller.arn} is not authorized to perform: SNS:{call.action}")


async def _find(call: Call) -> tuple[str, TopicRecord]:
    """The topic that the call names, once its caller may do this with it. Raises QueryError."""
    arn = call.params.need("TopicArn")
    try:
        record = await topics.find(call.view, arn)
        if arn != _arn(call, record):  # policies speak of the ARN as it is spelled
            raise NoSuchEntity("Topic does not exist")
    except NoSuchEntity:
        _require(call, arn, None)
        raise QueryError("NotFound", "Topic does not exist") from None
    _require(call, arn, record)
    return arn, record


async def create_topic(call: Call) -> Result:
    name = call.params.need("Name")
    arn = topics.topic_arn(call.identities.region, call.account, name)
    _require(call, arn, None)
    given = dict(call.params.entries("Attributes"))
    record = await call.identities.changes.make(lambda change: topics.create(change, call.account, name, given))
    return {"TopicArn": _arn(call, record)}


async def delete_topic(call: Call) -> Result:
    arn = call.params.need("TopicArn")
    try:
        await _find(call)
    except QueryError as error:
        if error.code == "NotFound":
            return None
        raise
    await call.identities.changes.make(lambda change: topics.delete(change, arn))
    return None


async def list_topics(call: Call) -> Result:
    _require(call, topics.topic_arn(call.identities.region, call.account, "x"), None)
    after = call.params.get("NextToken") or ""
    found = [record for record in await topics.list_all(call.view, call.account) if record.name > after]
    shown = found[:_PAGE]
    more = {"NextToken": shown[-1].name} if len(found) > _PAGE else {}
    return {"Topics": [{"TopicArn": _arn(call, record)} for record in shown], **more}


async def get_attributes(call: Call) -> Result:
    arn, record = await _find(call)
    known = {
        "TopicArn": arn,
        "Owner": record.account,
        "Policy": record.attributes.get("Policy") or _default(arn, record),
    }
    return {"Attributes": Entries(sorted({**record.attributes, **known}.items()))}


def _default(arn: str, record: TopicRecord) -> str:
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{record.account}:root"},
        "Action": ["sns:GetTopicAttributes", "sns:SetTopicAttributes", "sns:DeleteTopic", "sns:Publish"],
        "Resource": arn,
    }
    return json.dumps({"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]})


async def set_attributes(call: Call) -> Result:
    arn, _ = await _find(call)
    name, value = call.params.need("AttributeName"), call.params.get("AttributeValue") or ""
    await call.identities.changes.make(lambda change: topics.set_attribute(change, arn, name, value))
    return None


HANDLERS: dict[str, Handler] = {
    "CreateTopic": create_topic,
    "DeleteTopic": delete_topic,
    "GetTopicAttributes": get_attributes,
    "ListTopics": list_topics,
    "SetTopicAttributes": set_attributes,
}
