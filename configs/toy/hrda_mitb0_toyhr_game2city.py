# Toy world in high resolution (256 x 512), HRDA: the whole image at half resolution as context, as
# much as daformer_mitb0_toyhr_game2city.py sees, and details of 128 x 256.
_base_ = './daformer_mitb0_toyhr_game2city.py'
pipeline = [
    dict(type='LabelFirstCrop', scale=(512, 256), crop_size=(256, 512), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDomain'),
]
model = dict(
    segmentor=dict(
        type='HRDASegmentor',
        decode_head=dict(
            _delete_=True,
            type='HRDAHead',
            head={{_base_.segmentor.decode_head}},
            attention_channels=64,
        ),
        detail_size=(128, 256),
        hr_loss_weight=0.1,
    )
)
train_dataloader = dict(
    dataset=dict(
        source=dict(pipeline=pipeline),
        target=dict(pipeline=pipeline),
        rare_class_sampling=dict(min_crop_ratio=0.5),  # 200 pixels of the class in a crop
    )
)
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ]
    )
)
test_dataloader = val_dataloader
