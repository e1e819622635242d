"""Measurements of time and memory; ``python -m benchmarks`` runs them."""
