# As src_r101_cs2rio.py, tested on Taipei.
_base_ = './src_r101_cs2rio.py'
val_dataloader = dict(
    dataset=dict(data_prefix=dict(img_path='Taipei/Images/Test', seg_map_path='Taipei/Labels/Test'))
)
test_dataloader = val_dataloader
