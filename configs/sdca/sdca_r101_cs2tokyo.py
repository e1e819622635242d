# As sdca_r101_cs2rio.py, with Tokyo.
_base_ = './sdca_r101_cs2rio.py'
train_dataloader = dict(dataset=dict(target=dict(data_prefix=dict(img_path='Tokyo/Images/Train'))))
val_dataloader = dict(
    dataset=dict(data_prefix=dict(img_path='Tokyo/Images/Test', seg_map_path='Tokyo/Labels/Test'))
)
test_dataloader = val_dataloader
