"""Owns how identities look in answers: the structures of the IAM API. Pure."""

from pyrite.iam.records import AccessKeyRecord, EntityRecord, PolicyRecord, PolicyVersion
from pyrite.iamapi.wire import encoded, iso, tag_list

Shape = dict[str, object]

_ID_NAMES = {"user": "UserId", "group": "GroupId", "role": "RoleId"}


def _boundary(record: EntityRecord) -> Shape | None:
    if not record.boundary:
        return None
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": record.boundary}


def entity(record: EntityRecord, whole: bool = True) -> Shape:
    """A user, group or role; with `whole` also what lists leave out."""
    name = record.kind.capitalize() + "Name"
    shape: Shape = {
        "Path": record.path,
        name: record.name,
        _ID_NAMES[record.kind]: record.id,
        "Arn": record.arn,
        "CreateDate": iso(record.created_ms),
    }
    if record.kind == "role":
        shape["AssumeRolePolicyDocument"] = encoded(record.trust)
        shape["Description"] = record.description or None
        shape["MaxSessionDuration"] = record.max_session_s
    if whole and record.kind != "group":
        shape["PermissionsBoundary"] = _boundary(record)
        shape["Tags"] = tag_list(record.tags) if record.tags else None
    return shape


def key_metadata(record: AccessKeyRecord) -> Shape:
    """An access key without its secret."""
    return {
        "UserName": record.user or None,
        "AccessKeyId": record.id,
        "Status": "Active" if record.active else "Inactive",
        "CreateDate": iso(record.created_ms),
    }


def new_key(record: AccessKeyRecord) -> Shape:
    """An access key with its secret, as only its maker sees it."""
    return {**key_metadata(record), "SecretAccessKey": record.secret}


def policy(record: PolicyRecord, whole: bool = True) -> Shape:
    """A managed policy; with `whole` also what lists leave out."""
    return {
        "PolicyName": record.name,
        "PolicyId": record.id,
        "Arn": record.arn,
        "Path": record.path,
        "DefaultVersionId": f"v{record.default}",
        "AttachmentCount": record.attachments,
        "PermissionsBoundaryUsageCount": record.boundaries,
        "IsAttachable": True,
        "Description": record.description or None if whole else None,
        "CreateDate": iso(record.created_ms),
        "UpdateDate": iso(record.updated_ms),
        "Tags": tag_list(record.tags) if whole and record.tags else None,
    }


def policy_version(record: PolicyRecord, version: PolicyVersion, whole: bool = True) -> Shape:
    """A version of a managed policy; with `whole` its document too."""
    return {
        "Document": encoded(version.document) if whole else None,
        "VersionId": f"v{version.number}",
        "IsDefaultVersion": version.number == record.default,
        "CreateDate": iso(version.created_ms),
    }
