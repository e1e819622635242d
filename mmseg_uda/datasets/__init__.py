"""What a sample is: label spaces, conversion, dataset classes, transforms, source/target pairing.

Importing this package is light. The parts that mmseg's registries must know are in
``segmentation``, ``transforms`` and ``source_target``.
"""
