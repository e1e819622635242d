"""Samples and batches: label spaces, data sets, transforms, source/target pairs.

Importing this package is light. Classes that mmseg's registries must know are in ``segmentation``,
``dark_zurich``, ``transforms``, ``fixed_size``, ``paired_crop``, ``auto_augment`` and
``source_target``.
"""
