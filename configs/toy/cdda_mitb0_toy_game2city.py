# Toy world, CDDA on DAFormer's self-training. Crops are as large as the images.
#
# Similarities are lower than at full size: few pixels for 256 depth bins. The thresholds follow
# the mean similarity that a teacher of this self-training reaches on 150 training images (seed 0;
# median and 90 % quantile: 0.45 and 0.53 at iteration 200, 0.40 and 0.47 at 300, 0.36 and 0.41 at
# 500; it falls as more classes are found). They select more images as training proceeds: hardly any
# at 100, about a fifth at 200, a third at 300, half at the end.
_base_ = './daformer_mitb0_toy_game2city.py'
model = dict(
    addons=dict(
        cdda=dict(
            type='CDDA',
            bank='data/toy/depth_distributions',
            reweight_threshold=0.61,
            relabel_threshold=0.59,
            threshold_decay=0.06,
            decay_begin=100,
            decay_end=500,
            decay_interval=100,
        )
    )
)
train_dataloader = dict(
    dataset=dict(source=dict(depth_dir='depth_any'), target=dict(depth_dir='depth_any/train'))
)
