# SePiCo with DA-SAC's fusion of views, DistCL, DAFormer, MiT-B5, GTA to Cityscapes: the teacher
# labels each image by the mean of its predictions for the image and three flipped and zoomed views.
_base_ = '../sepico/sepico_dist_mitb5_gta2cs.py'
model = dict(addons=dict(view_fusion=dict(type='ViewFusion')))
target_pipeline = [
    dict(type='LabelFirstCrop', scale=(1280, 640), crop_size=None),
    dict(type='RandomFlip', prob=0.5),
    dict(type='MakeViews', number=3, first_whole=False),
    dict(type='PackDomain'),
]
train_dataloader = dict(dataset=dict(target=dict(pipeline=target_pipeline)))
