# Toy world, SePiCo (ProtoCL), with contrast from iteration 100 of 500. Crops are as large as
# the images, so target images are used whole; there is no car hood to ignore.
_base_ = './sepico_dist_mitb0_toy_game2city.py'
model = dict(contrast=dict(variant='proto'))
