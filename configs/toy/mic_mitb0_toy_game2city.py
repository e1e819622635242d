# Toy world, MIC on DAFormer's self-training: masked, colour-augmented target images.
_base_ = './daformer_mitb0_toy_game2city.py'
model = dict(
    addons=dict(
        mic=dict(
            type='MaskedConsistency',
            mode='separatetrgaug',
            block_size=16,
            ratio=0.7,
            blur=False,  # as for the mixed images
        )
    )
)
