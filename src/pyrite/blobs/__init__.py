"""Bytes on drives: volumes, shards, fragments, erasure coding. Knows nothing of buckets or of metadata."""
