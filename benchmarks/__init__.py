"""Commands that measure: each ``python -m benchmarks.<name>`` writes ``benchmarks/results/<name>.json``."""
