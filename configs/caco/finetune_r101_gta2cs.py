# CaCo's second training on pseudo-labels of the warm-up. It starts from the network of
# warmup_r101_gta2cs.py (load_from, set by the experiment).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/cityscapes_paired_pseudo_labels.py',
    '../_base_/models/multi_level_r101_retraining.py',
    '../_base_/schedules/sgd_poly10warm_caco_100k.py',
    '../_base_/uda/category_retraining.py',
]
model = dict(segmentor={{_base_.segmentor}}, data_preprocessor={{_base_.data_preprocessor}})
