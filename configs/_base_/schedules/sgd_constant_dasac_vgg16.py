# As sgd_constant_dasac.py for DeepLab-v2 with VGG-16. The last two convolutions of the backbone
# have the rates of the head, because there are no ImageNet weights for them.
_base_ = './sgd_constant_dasac.py'
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'backbone.4[24].weight': dict(lr_mult=10.0),
            'backbone.4[24].bias': dict(lr_mult=20.0, decay_mult=0.0),
        }
    )
)
