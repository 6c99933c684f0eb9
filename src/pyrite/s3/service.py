"""Owns what handlers work with: the store's parts, who may use them, and its region."""

from typing import NamedTuple, Protocol

from pyrite.core.clock import Clock
from pyrite.core.turns import Turns
from pyrite.functions.running import Functions
from pyrite.iam.owners import Owners
from pyrite.metadata.kv import Engine
from pyrite.objects.annotating import Annotating
from pyrite.objects.appending import Appending
from pyrite.objects.buckets import Bucket, Buckets
from pyrite.objects.naming import Naming
from pyrite.objects.objects import Objects
from pyrite.objects.reading import Reading
from pyrite.objects.uploads import Uploads
from pyrite.query.processes import Queries
from pyrite.s3.access import Access
from pyrite.s3.authentication import Authenticator
from pyrite.s3.compat import Compat
from pyrite.s3.encryption import Encryptor
from pyrite.s3.request import S3Request
from pyrite.services.listening import Listeners


class Targets(Protocol):
    """Where events can go."""

    async def may_notify(self, request: S3Request, bucket: Bucket, target: str) -> bool | None:
        """Whether the bucket's events may go to a target; None where there is no such target."""
        ...


class Service(NamedTuple):
    """The store as handlers see it."""

    engine: Engine
    buckets: Buckets
    naming: Naming
    objects: Objects
    uploads: Uploads
    appending: Appending
    annotating: Annotating
    reading: Reading
    access: Access
    authenticator: Authenticator
    encryptor: Encryptor
    targets: Targets
    listeners: Listeners
    queries: Queries
    functions: Functions
    owners: Owners
    clock: Clock
    compat: Compat
    region: str
    turns: Turns
