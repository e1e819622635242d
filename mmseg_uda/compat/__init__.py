"""Reads configs and checkpoints of other code bases."""
