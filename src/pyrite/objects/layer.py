"""Owns putting the object layer together: what finds, names, reads, stores, appends and annotates, over one engine."""

from typing import NamedTuple

from pyrite.blobs.store import BlobStore
from pyrite.core.clock import HybridClock
from pyrite.core.entropy import Entropy
from pyrite.metadata.kv import Engine
from pyrite.objects.annotating import Annotating
from pyrite.objects.appending import Appending
from pyrite.objects.buckets import Buckets
from pyrite.objects.naming import Naming
from pyrite.objects.objects import Objects
from pyrite.objects.reading import Reading
from pyrite.objects.underway import UnderWay
from pyrite.objects.uploads import Uploads


class ObjectLayer(NamedTuple):
    """The parts of the object layer."""

    naming: Naming
    reading: Reading
    objects: Objects
    uploads: Uploads
    appending: Appending
    annotating: Annotating


def object_layer(
    engine: Engine, buckets: Buckets, blobs: BlobStore, clock: HybridClock, entropy: Entropy, under_way: UnderWay
) -> ObjectLayer:
    """The object layer over `engine` and `blobs`."""
    naming = Naming(engine, buckets, clock, entropy)
    reading = Reading(engine, blobs, under_way)
    return ObjectLayer(
        naming,
        reading,
        Objects(naming, blobs, clock, entropy, under_way),
        Uploads(engine, naming, blobs, clock, entropy, under_way),
        Appending(engine, naming, blobs, clock, entropy, under_way),
        Annotating(engine, naming, blobs, reading, clock, entropy, under_way),
    )
