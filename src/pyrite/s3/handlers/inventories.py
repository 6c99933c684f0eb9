"""Owns where inventories of buckets go, and checking that they can be written when they are asked for."""

from pyrite.objects.buckets import Bucket
from pyrite.objects.errors import NoSuchBucket
from pyrite.query.processes import installed
from pyrite.s3.errors import S3Error
from pyrite.s3.service import Service
from pyrite.services.inventory import Place
from pyrite.services.inventoryrules import Inventory

SERVICE = "s3.amazonaws.com"


def check(service: Service, inventory: Inventory) -> None:
    """Whether the inventory could be written; as at AWS, its destination need not be there yet. Raises S3Error."""
    if inventory.parquet and not installed():
        raise S3Error("NotImplemented", "Parquet needs an extra that is not installed: pip install 'pyrite[select]'")
    if inventory.encrypted and not service.encryptor.is_on:
        raise S3Error("NotImplemented", "This store has no keyring, so it cannot encrypt.")


async def place_of(service: Service, bucket: Bucket, inventory: Inventory, key: bytes) -> Place | None:
    """Where a file of an inventory goes; None where the destination is gone or its policy does not let it."""
    try:
        target = await service.buckets.find(inventory.bucket)
    except NoSuchBucket:
        return None
    if not await service.access.may_deliver(bucket, target, key, SERVICE):
        return None
    return Place(target, service.encryptor.quick())
