"""What inventories write can be read by what reads Parquet, whatever the rules of a bucket say."""

import gzip
import io

from pyarrow import parquet

from pyrite.services.inventoryfiles import parquet_of


def test_dates_beyond_what_a_timestamp_holds() -> None:
    """A rule of many thousand years tells no date instead of ending the inventory; others are in milliseconds."""
    lines = b'"b","a%20key","5881637-06-05T00:00:00.000Z"\n"b","other","2027-01-02T03:04:05.678Z"\n'
    columns = ("Bucket", "Key", "LifecycleExpirationDate")
    table = parquet.read_table(io.BytesIO(parquet_of(gzip.compress(lines), columns)))
    rows = table.to_pylist()
    assert [row["key"] for row in rows] == ["a key", "other"]
    assert rows[0]["lifecycle_expiration_date"] is None
    assert rows[1]["lifecycle_expiration_date"].isoformat() == "2027-01-02T03:04:05.678000"
    assert str(table.schema.field("lifecycle_expiration_date").type) == "timestamp[ms]"
