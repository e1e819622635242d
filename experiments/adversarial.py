"""Adversarial training and entropy minimisation, the baselines of MIC."""

from experiments.rows import row

ROWS = (
    row(37, 'adversarial_dlv2_gta2cs', 'adversarial/adversarial_dlv2_gta2cs', 'AdvSeg'),
    row(38, 'min_entropy_dlv2_gta2cs', 'min_entropy/min_entropy_dlv2_gta2cs', 'MinEnt'),
)
