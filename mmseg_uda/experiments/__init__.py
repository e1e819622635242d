"""How an experiment becomes stages on the disk. Imports nothing heavy."""
