# Toy world, DACS.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_game_to_city.py',
    '../_base_/models/daformer_mitb0.py',
    '../_base_/uda/dacs.py',
    '../_base_/schedules/toy_500.py',
]
# Threshold and blur as in daformer_mitb0_toy_game2city.py.
model = dict(segmentor={{_base_.segmentor}}, threshold=0.8, blur=False)
