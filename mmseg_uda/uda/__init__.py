"""How a network adapts: the parts, and one file per method."""

from mmseg_uda.uda.methods.advseg import AdvSeg
from mmseg_uda.uda.addons.cdda import CDDA
from mmseg_uda.uda.methods.fada import ClassAdversarial
from mmseg_uda.uda.addons.day_partner import DayPartner
from mmseg_uda.uda.addons.feature_distance import FeatureDistance
from mmseg_uda.uda.addons.margins import IgnoreMargins, ValidRegion
from mmseg_uda.uda.addons.mic import MaskedConsistency
from mmseg_uda.uda.method import UDAMethod
from mmseg_uda.uda.methods.minent import MinEnt
from mmseg_uda.uda.parts import Part
from mmseg_uda.uda.methods.sdca import SDCA
from mmseg_uda.uda.methods.self_training import SelfTraining
from mmseg_uda.uda.methods.sepico import SePiCo
from mmseg_uda.uda.methods.source_only import SourceOnly

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
