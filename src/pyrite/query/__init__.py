"""Queries over the content of one object, answered by DuckDB in a process of their own."""
