# DA-SAC's baseline: supervised on the source; the statistics of batch norm follow both domains.
model = dict(type='SourceOnly', addons=dict(adaptive_batch_norm=dict(type='AdaptiveBatchNorm')))
sync_bn = 'torch'
