# Toy world: game look to city look, whole images.
_base_ = ['./loaders.py', './sources/toy_game_whole.py', './targets/toy_city_whole.py']
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(batch_size=4),
    dataset=dict(
        source={{_base_.source}}, target={{_base_.target}}, class_balanced_sampling=dict()
    ),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset={{_base_.test_set}})
test_dataloader = val_dataloader
