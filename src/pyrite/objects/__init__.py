"""What S3 means: buckets, objects, uploads, listings. Never sees a request, a header or XML."""
