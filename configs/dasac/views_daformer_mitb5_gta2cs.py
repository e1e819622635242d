# DAFormer with DA-SAC's fusion of views, MiT-B5, GTA to Cityscapes: the teacher labels each crop by
# the mean of its predictions for the crop and three flipped and zoomed views.
_base_ = '../daformer/daformer_mitb5_gta2cs.py'
model = dict(addons=dict(view_fusion=dict(type='ViewFusion')))
target_pipeline = [
    dict(type='LabelFirstCrop', scale=(1024, 512), crop_size=(512, 512)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='MakeViews', number=3, first_whole=False),
    dict(type='PackDomain'),
]
train_dataloader = dict(dataset=dict(target=dict(pipeline=target_pipeline)))
