"""The S3 protocol: operations, authentication, errors, handlers. Never sees a socket or a metadata key."""
