"""Benchmarks that anyone can run: `make bench`. Ratios against a peer and a physical limit, in the same run."""
