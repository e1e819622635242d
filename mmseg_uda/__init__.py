"""mmseg-uda: unsupervised domain adaptation for semantic segmentation, on mmsegmentation."""

__version__ = '0.1.0'
