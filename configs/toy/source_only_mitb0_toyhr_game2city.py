# Toy world in high resolution (256 x 512), source only at half of it.
_base_ = './source_only_mitb0_toy_game2city.py'
CITY = 'data/toy_hr/cityscapes'
train_dataloader = dict(
    batch_size=2,
    sampler=dict(batch_size=2),
    dataset=dict(source=dict(data_root='data/toy_hr/gta')),
)
val_dataloader = dict(dataset=dict(data_root=CITY))
test_dataloader = val_dataloader
