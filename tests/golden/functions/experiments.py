"""Our experiment configs under the option names of the published ones, value by value."""

from mmengine.config import Config

from mmseg_uda.engine.config import load_config
from mmseg_uda.experiments.table import load_table
from mmseg_uda.models.class_weights import class_weights
from mmseg_uda.models.data_preprocessor import UDADataPreProcessor
from mmseg_uda.uda.components.pixel_contrast import VARIANTS
from tests.golden.registry import Params, Results, golden

BN = {'type': 'BN', 'requires_grad': True}
# Entries that every published config repeats and nothing of ours depends on.
RUNTIME = {
    'log_config': {
        'interval': None,
        'hooks': [
            {'type': 'TextLoggerHook', 'by_epoch': False},
            {'type': 'TensorboardLoggerHook', 'by_epoch': False},
        ],
    },
    'dist_params': {'backend': 'nccl'},
    'resume_from': None,
    'workflow': [['train', 1]],
    'use_ddp_wrapper': True,
    'optimizer_config': None,
    'n_gpus': 1,
}


@golden('experiment_config')
def experiment_config(params: Params, inputs: Params) -> Results:
    number = params['experiment']
    config = load_config(load_table()[number].stages[0].config)
    method, resnet = config.model, 'depth' in config.model.segmentor.backbone
    schedule, iterations = config.param_scheduler[0], config.train_cfg.max_iters
    optimizer, wrapper = dict(config.optim_wrapper.optimizer), config.optim_wrapper
    optimizer['betas'] = list(optimizer['betas'])
    rules = wrapper.paramwise_cfg.custom_keys.to_dict()
    if resnet:  # no parameter of a ResNet has these names
        rules = {'head': rules['head']}
    loaders = config.train_dataloader
    published = {
        **RUNTIME,
        'log_config': {**RUNTIME['log_config'], 'interval': config.default_hooks.logger.interval},
        'log_level': config.log_level,
        'load_from': config.load_from,
        'cudnn_benchmark': config.env_cfg.cudnn_benchmark,
        'model': model(method),
        'data': {
            'samples_per_gpu': loaders.batch_size,
            'workers_per_gpu': loaders.num_workers,
            'train': {
                'type': 'UDADataset',
                'source': training_set(loaders.dataset.source, labelled=True),
                'target': training_set(loaders.dataset.target, labelled=False),
                'rare_class_sampling': {
                    name: loaders.dataset.rare_class_sampling[name]
                    for name in ('min_pixels', 'class_temp', 'min_crop_ratio')
                },
            },
            'val': evaluated_set(config.val_dataloader.dataset),
            'test': evaluated_set(config.test_dataloader.dataset),
        },
        'uda': uda(config),
        'optimizer': {**optimizer, 'paramwise_cfg': {'custom_keys': rules}},
        'lr_config': {
            'policy': 'poly',
            'warmup': 'linear',
            'warmup_iters': schedule.warmup_iters,
            'warmup_ratio': schedule.warmup_ratio,
            'power': schedule.power,
            'min_lr': schedule.min_lr,
            'by_epoch': schedule.by_epoch,
        },
        'seed': config.randomness.seed,
        'runner': {'type': 'IterBasedRunner', 'max_iters': iterations},
        'checkpoint_config': {'by_epoch': False, 'interval': iterations, 'max_keep_ckpts': 1},
        'evaluation': {'interval': config.train_cfg.val_interval, 'metric': 'mIoU'},
        'exp': number,
    }
    return {'config': published | names(published, method)}


def model(method: Config) -> dict:
    network, contrast = method.segmentor, method.contrast
    backbone, head, projection = network.backbone, network.decode_head, network.auxiliary_head
    resnet = 'depth' in backbone
    loss = {'type': 'CrossEntropyLoss', 'use_sigmoid': False, 'loss_weight': 1.0}
    if network.get('class_weight'):
        loss['class_weight'] = class_weights(network.class_weight).tolist()
    common = {'in_channels': head.in_channels, 'in_index': head.in_index}
    common |= {'num_classes': head.num_classes, 'align_corners': False, 'loss_decode': loss}
    if resnet:
        stages = {name: list(backbone[name]) for name in ('out_indices', 'dilations', 'strides')}
        backbone = {**backbone.to_dict(), **stages}
        init = {'type': 'Normal', 'std': 0.01, 'override': {'name': 'aspp_modules'}}
        decode = {'type': 'DLV2Head', 'dilations': list(head.dilations), 'init_cfg': init, **common}
        pretrained = 'open-mmlab://resnet101_v1c'
        assert network.pretrained.startswith('pretrained/resnet101_v1c')
    else:
        plain = {'type': 'mlp', 'act_cfg': None, 'norm_cfg': None}
        fusion = {'type': 'aspp', 'sep': True, 'dilations': [1, 6, 12, 18], 'pool': False}
        decode = {
            'type': head.type,
            'channels': head.channels,
            'dropout_ratio': head.dropout_ratio,
            'norm_cfg': BN,
            'decoder_params': {
                'embed_dims': head.embed_dims,
                'embed_cfg': plain,
                'embed_neck_cfg': plain,
                'fusion_cfg': {**fusion, 'act_cfg': {'type': 'ReLU'}, 'norm_cfg': BN},
            },
            **common,
        }
        backbone = {'type': f'mit_{backbone.arch}', 'style': 'pytorch'}
        pretrained = network.pretrained
    return {
        'type': 'EncoderDecoderProjector',
        'pretrained': pretrained,
        'backbone': backbone,
        'decode_head': decode,
        'auxiliary_head': {
            'type': 'ProjHead',
            'in_channels': projection.in_channels,
            'in_index': projection.in_index,
            'input_transform': projection.get('input_transform'),
            'channels': projection.channels,
            'num_convs': projection.get('num_convs', 2),
            'dropout_ratio': 0.1,  # created, never called
            'num_classes': head.num_classes,
            'norm_cfg': BN,
            'align_corners': False,
            'loss_decode': {
                'type': 'ContrastiveLoss',
                'use_dist': contrast.variant == 'dist',
                'use_bank': contrast.variant == 'bank',
                'use_reg': bool(contrast.regulariser),
                'use_avg_pool': True,
                'scale_min_ratio': contrast.min_ratio,
                'num_classes': head.num_classes,
                'contrast_temp': contrast.temperature,
                'loss_weight': contrast.weight,
                'reg_relative_weight': contrast.regulariser,
            },
        },
        'train_cfg': {},
        'test_cfg': {'mode': network.test_cfg.mode},
    }


def uda(config: Config) -> dict:
    method = config.model
    margins, day = (method.addons.get(name) for name in ('margins', 'day'))
    pictures = next(h for h in config.custom_hooks if h.type == 'PicturePanelHook')
    options = {
        'type': 'SePiCoDark' if day else method.type,
        'alpha': method.alpha,
        'pseudo_threshold': method.threshold,
        'pseudo_weight_ignore_top': margins.top if margins else 0,
        'pseudo_weight_ignore_bottom': margins.bottom if margins else 0,
        'start_distribution_iter': method.start_iteration,
        'blur': method.blur,
        'color_jitter_strength': method.jitter_strength,
        'color_jitter_probability': method.jitter_threshold,
        'debug_img_interval': pictures.interval,
        'cat_max_ratio': method.crop_max_ratio,
        'crop_size': list(method.crop_size),
        'mix': 'class',
        **dict.fromkeys(('enable_self_training', 'enable_strong_aug'), True),
        **dict.fromkeys(('pseudo_random_crop', 'regen_pseudo'), True),
    }
    if method.contrast.variant == 'bank':
        options['memory_length'] = method.contrast.bank_size
    if day:
        target = config.train_dataloader.dataset.target
        options['class_weight'] = class_weights(day.class_weight).tolist()
        options['day_ratio'] = day.ratio
        options['corresp_root'] = f'{target.data_root}/corresp/train/night/'
        options['shift_insensitive_classes'] = ranges(day.classes)
    return options


def ranges(numbers: list[int]) -> list[list[int]]:
    """[0, 1, 2, 5, 6] -> [[0, 3], [5, 7]]."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n + 1 for n in numbers if n + 1 not in numbers]
    return [list(pair) for pair in zip(starts, ends, strict=True)]


def files(dataset: Config, labelled: bool) -> dict:
    prefix = dict(dataset.data_prefix)
    kind = dataset.type.replace('DayNight', '')
    published = {'type': kind, 'data_root': f'{dataset.data_root}/', 'img_dir': prefix['img_path']}
    if 'seg_map_path' in prefix:
        published['ann_dir'] = prefix['seg_map_path']
    elif kind == 'CityscapesDataset' and not labelled:
        # It loads the target's labels without using them; we do not load them.
        published['ann_dir'] = prefix['img_path'].replace('leftImg8bit', 'gtFine')
    else:
        published['test_mode'] = True
    return published


def normalisation() -> dict:
    preprocessor = UDADataPreProcessor()
    mean, std = (value.flatten().tolist() for value in (preprocessor.mean, preprocessor.std))
    return {'type': 'Normalize', 'mean': mean, 'std': std, 'to_rgb': True}


def training_set(dataset: Config, labelled: bool) -> dict:
    published = files(dataset, labelled)
    crop, flip = (
        next(step for step in dataset.pipeline if step.type == kind)
        for kind in ('LabelFirstCrop', 'RandomFlip')
    )
    with_labels = 'ann_dir' in published
    steps = [{'type': 'LoadImageFromFile'}]
    if with_labels:
        steps.append({'type': 'LoadAnnotations'})
    steps.append({'type': 'Resize', 'img_scale': list(crop.scale)})
    if crop.crop_size:
        size = list(crop.crop_size)
        steps.append({'type': 'RandomCrop', 'crop_size': size, 'cat_max_ratio': crop.cat_max_ratio})
    steps += [{'type': 'RandomFlip', 'prob': flip.prob}, normalisation()]
    if crop.crop_size:
        steps.append({'type': 'Pad', 'size': size, 'pad_val': 0, 'seg_pad_val': 255})
    keys = ['img', 'gt_semantic_seg'] if with_labels else ['img']
    steps += [{'type': 'DefaultFormatBundle'}, {'type': 'Collect', 'keys': keys}]
    return {**published, 'pipeline': steps}


def evaluated_set(dataset: Config) -> dict:
    resize = next(step for step in dataset.pipeline if step.type == 'Resize')
    steps = [
        {'type': 'Resize', 'keep_ratio': resize.keep_ratio},
        {'type': 'RandomFlip'},
        normalisation(),
        {'type': 'ImageToTensor', 'keys': ['img']},
        {'type': 'Collect', 'keys': ['img']},
    ]
    scaled = {'type': 'MultiScaleFlipAug', 'img_scale': list(resize.scale), 'flip': False}
    pipeline = [{'type': 'LoadImageFromFile'}, {**scaled, 'transforms': steps}]
    return {**files(dataset, labelled=True), 'pipeline': pipeline}


def names(published: dict, method: Config) -> dict:
    """Names that the published code derives from an experiment's settings."""
    contrast, night = method.contrast, published['uda']['type'] == 'SePiCoDark'
    resnet = 'depth' in method.segmentor.backbone
    decoder = 'dlv2_proj' if resnet else 'daformer_sepaspp_proj'
    encoder = 'r101v1c' if resnet else 'mitb5'
    title = dict(zip(VARIANTS, ('DistCL', 'BankCL', 'ProtoCL'), strict=True))[contrast.variant]
    layers = published['model']['auxiliary_head']['in_index']
    temperature = published['data']['train']['rare_class_sampling']['class_temp']
    uda_name = (
        f'{"sepico_dark" if night else "sepico"}_{title}-reg-w{contrast.regulariser}'
        f'-start-iter{method.start_iteration}-tau{contrast.temperature}'
        f'-l{layers}-w{contrast.weight}_rcs{temperature}{"" if night else "_cpl"}_self'
    )
    rate, length = published['optimizer']['lr'], published['runner']['max_iters'] // 1000
    schedule = f'poly10warm_1x{published["data"]["samples_per_gpu"]}_{length}k'
    short = 'cs2dz' if night else 'gta2cs'
    return {
        'name_dataset': 'cityscapes2dark_zurich' if night else 'gta2cityscapes',
        'name_architecture': f'{decoder}_{encoder}',
        'name_encoder': encoder,
        'name_decoder': decoder,
        'name_uda': uda_name,
        'name_opt': f'adamw_{rate}_pmTrue_{schedule}',
        'name': f'{decoder}_{encoder}_{uda_name}_adamw_{rate}_pmT_{schedule}_{short}'
        f'_seed{published["seed"]}',
    }
