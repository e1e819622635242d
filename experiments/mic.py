"""MIC (Hoyer et al., CVPR 2023), on three hosts."""

from experiments.rows import row

ROWS = (
    row(25, 'mic_hrda_gta2cs', 'mic/mic_hrda_mitb5_gta2cs', 'MIC(HRDA)', 75.9),
    row(26, 'mic_hrda_synthia2cs', 'mic/mic_hrda_mitb5_synthia2cs', 'MIC(HRDA)', 74.0, 'mIoU13'),
    row(27, 'mic_hrda_cs2acdc', 'mic/mic_hrda_mitb5_cs2acdc', 'MIC(HRDA)', 70.4),
    row(28, 'mic_hrda_cs2dzur', 'mic/mic_hrda_mitb5_cs2dzur', 'MIC(HRDA)'),
    row(29, 'mic_daformer_gta2cs', 'mic/mic_daformer_mitb5_gta2cs', 'MIC(DAFormer)'),
    row(36, 'mic_sepico_gta2cs', 'mic/mic_sepico_dist_mitb5_gta2cs', 'SePiCo DistCL with MIC'),
)
