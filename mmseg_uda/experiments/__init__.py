"""Experiments as stages on the disk. Imports nothing heavy."""
