"""DAFormer (Hoyer et al., CVPR 2022) and what it is measured against."""

from experiments.rows import row

ROWS = (
    row(10, 'daformer_gta2cs', 'daformer/daformer_mitb5_gta2cs', 'DAFormer', 68.3),
    row(
        11, 'daformer_synthia2cs', 'daformer/daformer_mitb5_synthia2cs', 'DAFormer', 60.9, 'mIoU16'
    ),
    row(12, 'daformer_cs2dzur', 'daformer/daformer_mitb5_cs2dzur', 'DAFormer', 53.8),
    row(13, 'daformer_cs2acdc', 'daformer/daformer_mitb5_cs2acdc', 'DAFormer', 55.4),
    row(14, 'daformer_dlv2_gta2cs', 'daformer/daformer_dlv2_gta2cs', "DAFormer's training"),
    row(15, 'dacs_dlv2_gta2cs', 'dacs/dacs_dlv2_gta2cs', "DAFormer's DACS"),
    row(16, 'dacs_dlv2_synthia2cs', 'dacs/dacs_dlv2_synthia2cs', "DAFormer's DACS"),
    row(17, 'source_only_mitb5_gta2cs', 'source_only/source_only_mitb5_gta2cs', 'no adaptation'),
    row(18, 'oracle_mitb5_cs', 'oracle/oracle_mitb5_cs', 'supervised on the target'),
    row(19, 'source_only_dlv2_gta2cs', 'source_only/source_only_dlv2_gta2cs', 'no adaptation'),
)
