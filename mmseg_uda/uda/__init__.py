"""How a network adapts: the parts, and one file per method."""

from mmseg_uda.uda.day_partner import DayPartner
from mmseg_uda.uda.feature_distance import FeatureDistance
from mmseg_uda.uda.margins import IgnoreMargins, ValidRegion
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.parts import Part
from mmseg_uda.uda.sdca import SDCA
from mmseg_uda.uda.self_training import SelfTraining
from mmseg_uda.uda.sepico import SePiCo
from mmseg_uda.uda.source_only import SourceOnly

__all__ = [
    'SDCA',
    'DayPartner',
    'FeatureDistance',
    'IgnoreMargins',
    'Part',
    'SePiCo',
    'SelfTraining',
    'SourceOnly',
    'UDAMethod',
    'ValidRegion',
]
