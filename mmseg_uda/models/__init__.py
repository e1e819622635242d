"""Networks (backbones, heads, segmentors) and their losses, independent of adaptation methods."""

from mmseg_uda.models.backbones.mit import MiT
from mmseg_uda.models.backbones.resnet_caffe import CaffeResNet
from mmseg_uda.models.backbones.vgg import DilatedVGG16
from mmseg_uda.models.backbones.vgg_bn import DilatedVGG16BN, VGG16BNPools
from mmseg_uda.models.data_preprocessor import UDADataPreProcessor
from mmseg_uda.models.forward_pass import ForwardPass, Supervision
from mmseg_uda.models.frozen_batch_norm import FrozenBatchNorm
from mmseg_uda.models.heads.all_mlp_head import AllMLPHead
from mmseg_uda.models.heads.daformer_head import DAFormerHead
from mmseg_uda.models.heads.dlv2_head import DLV2Head
from mmseg_uda.models.heads.fcn8_head import FCN8Head
from mmseg_uda.models.heads.hrda_head import HRDAHead
from mmseg_uda.models.heads.projection_head import ProjectionHead
from mmseg_uda.models.heads.projector import Projector
from mmseg_uda.models.hrda import HRDASegmentor
from mmseg_uda.models.losses import segmentation_loss
from mmseg_uda.models.multi_level import MultiLevelSegmentor
from mmseg_uda.models.necks import UpscaleNeck
from mmseg_uda.models.pretrained import load_pretrained_backbone
from mmseg_uda.models.segmentors import Segmentor

__all__ = [
    'AllMLPHead',
    'CaffeResNet',
    'DAFormerHead',
    'DLV2Head',
    'HRDAHead',
    'HRDASegmentor',
    'DilatedVGG16',
    'DilatedVGG16BN',
    'FCN8Head',
    'ForwardPass',
    'FrozenBatchNorm',
    'MiT',
    'MultiLevelSegmentor',
    'ProjectionHead',
    'Projector',
    'Segmentor',
    'Supervision',
    'UDADataPreProcessor',
    'UpscaleNeck',
    'VGG16BNPools',
    'load_pretrained_backbone',
    'segmentation_loss',
]
