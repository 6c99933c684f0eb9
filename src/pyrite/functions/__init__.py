"""Functions that objects are read through: the operator declares them, as webhooks or as Python."""
