"""The identities of the attacks: two accounts, and users of the first who may do everything but for one reason."""

import json
from pathlib import Path

from botocore.credentials import Credentials

from pyrite.core.units import MIB

OWNER, OTHER = "111111111111", "222222222222"
SECRET = "the-secret-of-all-of-them-0123456789"
ALL = "arn:aws:iam::aws:policy/AdministratorAccess"


def allow(action: object, resource: object = "*", effect: str = "Allow", **more: object) -> dict[str, object]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


NOTHING = document(allow("sns:Publish"))
DENY = document(allow("*", effect="Deny"))

IDENTITIES = f"""
[[account]]
id = "{OWNER}"
name = "owner"
key = [{{ access_key = "ownerroot", secret_key = "{SECRET}" }}]

[[account.policy]]
name = "nothing"
document = '{NOTHING}'

[[account.user]]
name = "admin"
policies = ["{ALL}"]
key = [{{ access_key = "admin", secret_key = "{SECRET}" }}]

[[account.user]]
name = "nobody"
key = [{{ access_key = "nobody", secret_key = "{SECRET}" }}]

[[account.user]]
name = "bounded"
policies = ["{ALL}"]
boundary = "nothing"
key = [{{ access_key = "bounded", secret_key = "{SECRET}" }}]

[[account.user]]
name = "denied"
policies = ["{ALL}"]
inline = {{ deny = '{DENY}' }}
key = [{{ access_key = "denied", secret_key = "{SECRET}" }}]

[[account.user]]
name = "narrow"
policies = ["{ALL}"]
key = [{{ access_key = "narrow", secret_key = "{SECRET}", policy = '{NOTHING}' }}]

[[account.role]]
name = "worker"
trust = '{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{OWNER}"}}, "Action": "sts:*"}}}}'
policies = ["{ALL}"]

[[account]]
id = "{OTHER}"
name = "other"
key = [{{ access_key = "otherroot", secret_key = "{SECRET}" }}]

[[account.user]]
name = "stranger"
policies = ["{ALL}"]
key = [{{ access_key = "stranger", secret_key = "{SECRET}" }}]
"""


def write_identities(folder: Path) -> Path:
    """The file that declares them."""
    path = folder / "identities.toml"
    path.write_text(IDENTITIES)
    return path


def as_(name: str, secret: str = SECRET) -> Credentials:
    """The credentials of one of them."""
    return Credentials(name, secret)


PART = b"p" * (5 * MIB)
