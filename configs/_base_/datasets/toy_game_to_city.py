# Toy world: game look (source) to city look (target).
_base_ = ['./loaders.py', './sources/toy_game.py', './targets/toy_city.py']
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(batch_size=4),
    dataset=dict(source={{_base_.source}}, target={{_base_.target}}),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset={{_base_.test_set}})
test_dataloader = val_dataloader
