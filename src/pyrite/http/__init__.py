"""HTTP/1.1 on uvloop and httptools: heads, bodies, responses, connections, TLS. Has never heard of S3."""
