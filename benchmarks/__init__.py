"""shoal beside its peers, on one table: `python -m benchmarks --help`."""
