# The network with class weights for night images, in the cross entropy and in the prediction.
_base_ = ['./deeplabv2_r101_projection.py', './night_weights.py']
segmentor = dict(
    class_weight={{_base_.train_class_weight}},
    test_cfg=dict(class_weight={{_base_.test_class_weight}}),
)
