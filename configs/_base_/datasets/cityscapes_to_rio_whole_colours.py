# Cityscapes to Rio (Cross-City), whole images, colour augmentation of the source.
_base_ = './cityscapes_to_rio_whole.py'
source_pipeline = [
    dict(type='FixedResize', size=(1024, 512)),
    dict(type='PILColorJitter', brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2),
    dict(
        type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.299)
    ),
    dict(type='BlurThree', sigma=(0.1, 2.0)),
    dict(type='PackDomain'),
]
train_dataloader = dict(dataset=dict(source=dict(pipeline=source_pipeline)))
