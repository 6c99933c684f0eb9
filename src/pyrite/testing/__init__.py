"""Public test doubles: what stands in for drives, catalogs and S3 itself in tests."""
