# As cityscapes_1024x512.py, tested at 2048 x 1024.
_base_ = './cityscapes_1024x512.py'
test_set = dict(
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='Resize',
            scale=(2048, 1024),
            keep_ratio=False,
            backend='pillow',
            interpolation='bicubic',
        ),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
)
