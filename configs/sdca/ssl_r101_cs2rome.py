# As ssl_r101_cs2rio.py, with Rome.
_base_ = './ssl_r101_cs2rio.py'
train_dataloader = dict(
    dataset=dict(source=dict(data_prefix=dict(img_path='data/crosscity/Rome/Images/Train')))
)
val_dataloader = dict(
    dataset=dict(data_prefix=dict(img_path='Rome/Images/Test', seg_map_path='Rome/Labels/Test'))
)
test_dataloader = val_dataloader
