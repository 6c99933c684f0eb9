"""Owns the actions on the account as a whole and on its identity providers."""

from pyrite.iam import accounts, entities, policies, providers
from pyrite.iam.accesskeys import KEYS_MAX
from pyrite.iamapi.call import Call, Handler, Result
from pyrite.iamapi.wire import Entries, iso, page, tag_list

_QUOTAS = {
    "UsersQuota": 1_000_000,
    "GroupsQuota": 1_000_000,
    "RolesQuota": 1_000_000,
    "PoliciesQuota": 1_000_000,
    "AccessKeysPerUserQuota": KEYS_MAX,
    "GroupsPerUserQuota": entities.GROUPS_PER_USER_MAX,
    "AttachedPoliciesPerUserQuota": policies.ATTACHED_MAX,
    "AttachedPoliciesPerGroupQuota": policies.ATTACHED_MAX,
    "AttachedPoliciesPerRoleQuota": policies.ATTACHED_MAX,
    "UserPolicySizeQuota": entities.INLINE_MAX_CHARS["user"],
    "GroupPolicySizeQuota": entities.INLINE_MAX_CHARS["group"],
    "RolePolicySizeQuota": entities.INLINE_MAX_CHARS["role"],
    "AssumeRolePolicySizeQuota": entities.TRUST_MAX_CHARS,
    "PolicySizeQuota": policies.DOCUMENT_MAX_CHARS,
    "VersionsPerPolicyQuota": policies.VERSIONS_MAX,
    "GlobalEndpointTokenVersion": 2,
    "MFADevices": 0,
    "MFADevicesInUse": 0,
    "AccountMFAEnabled": 0,
    "AccountSigningCertificatesPresent": 0,
    "ServerCertificates": 0,
    "InstanceProfiles": 0,
}


async def get_account_summary(call: Call) -> Result:
    view, account = call.view, call.account
    managed = await policies.list_all(view, account)
    numbers = {
        **_QUOTAS,
        "Users": len(await entities.list_all(view, "user", account)),
        "Groups": len(await entities.list_all(view, "group", account)),
        "Roles": len(await entities.list_all(view, "role", account)),
        "Policies": len(managed),
        "PolicyVersionsInUse": sum(len(policy.versions) for policy in managed),
        "Providers": len(await providers.list_all(view, account)),
        "AccountAccessKeysPresent": int(bool((await accounts.find(view, account)).keys)),
    }
    return {"SummaryMap": Entries(sorted(numbers.items()))}


async def list_account_aliases(call: Call) -> Result:
    alias = (await accounts.find(call.view, call.account)).alias
    return {"AccountAliases": [alias] if alias else [], "IsTruncated": False}


async def create_account_alias(call: Call) -> Result:
    alias = call.params.need("AccountAlias")
    await call.identities.changes.make(lambda change: accounts.set_alias(change, call.account, alias))
    return None


async def delete_account_alias(call: Call) -> Result:
    await call.identities.changes.make(lambda change: accounts.set_alias(change, call.account, ""))
    return None


# ---- OpenID Connect providers


def _arn(call: Call) -> str:
    return call.params.need("OpenIDConnectProviderArn")


async def create_provider(call: Call) -> Result:
    params = call.params
    url, tags = params.need("Url"), params.tags()
    clients, thumbprints = params.members("ClientIDList"), params.members("ThumbprintList")
    made = await call.identities.changes.make(
        lambda change: providers.create(change, call.account, url, clients, thumbprints, tags)
    )
    return {"OpenIDConnectProviderArn": made.arn, "Tags": tag_list(made.tags)}


async def get_provider(call: Call) -> Result:
    record = await providers.find(call.view, call.account, _arn(call))
    return {
        "Url": record.url,
        "ClientIDList": list(record.client_ids),
        "ThumbprintList": list(record.thumbprints),
        "CreateDate": iso(record.created_ms),
        "Tags": tag_list(record.tags),
    }


async def list_providers(call: Call) -> Result:
    found = await providers.list_all(call.view, call.account)
    return {"OpenIDConnectProviderList": [{"Arn": record.arn} for record in found]}


async def delete_provider(call: Call) -> Result:
    arn = _arn(call)
    await call.identities.changes.make(lambda change: providers.delete(change, call.account, arn))
    return None


async def add_client(call: Call) -> Result:
    arn, client_id = _arn(call), call.params.need("ClientID")
    await call.identities.changes.make(lambda change: providers.add_client(change, call.account, arn, client_id))
    return None


async def remove_client(call: Call) -> Result:
    arn, client_id = _arn(call), call.params.need("ClientID")
    await call.identities.changes.make(lambda change: providers.remove_client(change, call.account, arn, client_id))
    return None


async def update_thumbprint(call: Call) -> Result:
    arn, thumbprints = _arn(call), call.params.members("ThumbprintList")
    await call.identities.changes.make(lambda change: providers.set_thumbprints(change, call.account, arn, thumbprints))
    return None


async def tag_provider(call: Call) -> Result:
    arn, tags = _arn(call), call.params.tags()
    await call.identities.changes.make(lambda change: providers.retag(change, call.account, arn, tags, ()))
    return None


async def untag_provider(call: Call) -> Result:
    arn, keys = _arn(call), call.params.members("TagKeys")
    await call.identities.changes.make(lambda change: providers.retag(change, call.account, arn, {}, keys))
    return None


async def list_provider_tags(call: Call) -> Result:
    record = await providers.find(call.view, call.account, _arn(call))
    shown, more = page(call.params, sorted(record.tags), sorted(record.tags))
    return {"Tags": tag_list({key: record.tags[key] for key in shown}), **more}


HANDLERS: dict[str, Handler] = {
    "GetAccountSummary": get_account_summary,
    "ListAccountAliases": list_account_aliases,
    "CreateAccountAlias": create_account_alias,
    "DeleteAccountAlias": delete_account_alias,
    "CreateOpenIDConnectProvider": create_provider,
    "GetOpenIDConnectProvider": get_provider,
    "ListOpenIDConnectProviders": list_providers,
    "DeleteOpenIDConnectProvider": delete_provider,
    "AddClientIDToOpenIDConnectProvider": add_client,
    "RemoveClientIDFromOpenIDConnectProvider": remove_client,
    "UpdateOpenIDConnectProviderThumbprint": update_thumbprint,
    "TagOpenIDConnectProvider": tag_provider,
    "UntagOpenIDConnectProvider": untag_provider,
    "ListOpenIDConnectProviderTags": list_provider_tags,
}
