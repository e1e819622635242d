# DAFormer's training for HRDA: margins are those of the image, not of the crop.
_base_ = './daformer.py'
model = dict(addons=dict(margins=dict(_delete_=True, type='ValidRegion')))
