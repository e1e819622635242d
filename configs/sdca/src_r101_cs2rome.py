# As src_r101_cs2rio.py, tested on Rome.
_base_ = './src_r101_cs2rio.py'
val_dataloader = dict(
    dataset=dict(data_prefix=dict(img_path='Rome/Images/Test', seg_map_path='Rome/Labels/Test'))
)
test_dataloader = val_dataloader
