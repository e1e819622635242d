"""Add-ons: each extends any method through the hooks of :mod:`mmseg_uda.uda.addon`."""
