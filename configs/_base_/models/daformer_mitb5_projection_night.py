# The network with class weights for the night: in the cross entropy, and in the final decision.
_base_ = ['./daformer_mitb5_projection.py', './night_weights.py']
segmentor = dict(
    class_weight={{_base_.train_class_weight}},
    test_cfg=dict(class_weight={{_base_.test_class_weight}}),
)
