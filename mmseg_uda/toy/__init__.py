"""Procedural driving scenes, written in the real data sets' formats, for tests and the demo."""

from .world import make_world

__all__ = ['make_world']
