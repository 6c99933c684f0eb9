"""AWS wire conventions: URIs, signatures, chunked payloads, checksums, XML. Knows no operation."""
