"""Owns what handlers work with: the store's parts, its owner and its region."""

from typing import NamedTuple

from pyrite.metadata.kv import Engine
from pyrite.objects.buckets import Buckets
from pyrite.objects.naming import Naming
from pyrite.objects.objects import Objects
from pyrite.objects.reading import Reading
from pyrite.objects.uploads import Uploads


class Owner(NamedTuple):
    """The account that owns everything in this version: its canonical id and its 12-digit account id."""

    canonical_id: str
    account_id: str


class Service(NamedTuple):
    """The store as handlers see it."""

    engine: Engine
    buckets: Buckets
    naming: Naming
    objects: Objects
    uploads: Uploads
    reading: Reading
    owner: Owner
    region: str
