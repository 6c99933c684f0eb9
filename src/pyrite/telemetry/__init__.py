"""Logs, metrics, the access log. Never sees a secret."""
