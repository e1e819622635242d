# As cityscapes_1024x512.py in SYNTHIA's 16 classes.
_base_ = './cityscapes_1024x512.py'
classes = [
    *('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign'),
    *('vegetation', 'sky', 'person', 'rider', 'car', 'bus', 'motorcycle', 'bicycle'),
]
target = dict(metainfo=dict(classes=classes))
test_set = dict(metainfo=dict(classes=classes))
