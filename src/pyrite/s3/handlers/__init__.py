"""Handlers, one file for each family of verbs: from an S3Request to a Response."""
