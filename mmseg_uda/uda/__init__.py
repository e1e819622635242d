"""How a network adapts: the parts, and one file per method."""

from mmseg_uda.uda.adversarial import AdvSeg
from mmseg_uda.uda.cdda import CDDA
from mmseg_uda.uda.class_adversarial import ClassAdversarial
from mmseg_uda.uda.day_partner import DayPartner
from mmseg_uda.uda.feature_distance import FeatureDistance
from mmseg_uda.uda.margins import IgnoreMargins, ValidRegion
from mmseg_uda.uda.masked_consistency import MaskedConsistency
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.min_entropy import MinEnt
from mmseg_uda.uda.parts import Part
from mmseg_uda.uda.sdca import SDCA
from mmseg_uda.uda.self_training import SelfTraining
from mmseg_uda.uda.sepico import SePiCo
from mmseg_uda.uda.source_only import SourceOnly

__all__ = [
    'AdvSeg',
    'CDDA',
    'SDCA',
    'ClassAdversarial',
    'DayPartner',
    'FeatureDistance',
    'IgnoreMargins',
    'MaskedConsistency',
    'MinEnt',
    'Part',
    'SePiCo',
    'SelfTraining',
    'SourceOnly',
    'UDAMethod',
    'ValidRegion',
]
