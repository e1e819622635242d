"""HRDA (Hoyer et al., ECCV 2022)."""

from experiments.rows import row

ROWS = (
    row(20, 'hrda_gta2cs', 'hrda/hrda_mitb5_gta2cs', 'HRDA', 73.8),
    row(21, 'hrda_synthia2cs', 'hrda/hrda_mitb5_synthia2cs', 'HRDA', 65.8, 'mIoU16'),
    row(22, 'hrda_cs2acdc', 'hrda/hrda_mitb5_cs2acdc', 'HRDA', 68.0),
    row(23, 'hrda_cs2dzur', 'hrda/hrda_mitb5_cs2dzur', 'HRDA', 55.9),
    row(24, 'hrda_dlv2_gta2cs', 'hrda/hrda_dlv2_gta2cs', 'HRDA'),
)
