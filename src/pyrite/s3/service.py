"""Owns what handlers work with: the store's parts, who may use them, and its region."""

from typing import NamedTuple

from pyrite.core.clock import Clock
from pyrite.iam.owners import Owners
from pyrite.metadata.kv import Engine
from pyrite.objects.buckets import Buckets
from pyrite.objects.naming import Naming
from pyrite.objects.objects import Objects
from pyrite.objects.reading import Reading
from pyrite.objects.uploads import Uploads
from pyrite.s3.access import Access
from pyrite.s3.authentication import Authenticator
from pyrite.s3.compat import Compat
from pyrite.s3.encryption import Encryptor


class Service(NamedTuple):
    """The store as handlers see it."""

    engine: Engine
    buckets: Buckets
    naming: Naming
    objects: Objects
    uploads: Uploads
    reading: Reading
    access: Access
    authenticator: Authenticator
    encryptor: Encryptor
    owners: Owners
    clock: Clock
    compat: Compat
    region: str
