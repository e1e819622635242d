"""Samples and batches: label spaces, data sets, transforms, blocks of source and target samples.

Importing this package is light. Classes that mmseg's registries must know are in ``segmentation``,
``dark_zurich``, ``transforms``, ``fixed_size``, ``padded_crop``, ``views``, ``paired_crop``,
``auto_augment`` and ``source_target``.
"""
