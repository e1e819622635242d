"""Imported by a test's config (``custom_imports``) to make commands compute in float64."""

import torch

torch.set_default_dtype(torch.float64)
