# Toy world, MinEnt.
_base_ = [
    '../_base_/toy_runtime.py',
    '../_base_/datasets/toy_game_to_city.py',
    '../_base_/models/daformer_mitb0.py',
    '../_base_/uda/minent.py',
    '../_base_/schedules/toy_500.py',
]
model = dict(segmentor={{_base_.segmentor}})
