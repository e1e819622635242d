"""Measurements of time and memory; ``python -m benchmarks.command`` runs them."""
