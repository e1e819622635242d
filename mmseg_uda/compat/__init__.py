"""Configs and checkpoints as other code bases published them."""
