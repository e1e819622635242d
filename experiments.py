"""The experiment table: `python run_experiments.py --exp ID` (or `mmseg-uda run --exp ID`).

A row: id, config below configs/, method, published figures (mIoU in percent on the target's
evaluation set, as stated by the paper or its code), and the recipe that turns the config into
stages. An experiment has the name of its config. Experiment 100 + N is the toy version of N.
"""

from mmseg_uda.experiments.recipes import (
    caco_warm_up,
    cdda,
    cdda_best,
    dasac,
    demo,
    fada,
    row,
    sdca,
    toy,
    toy_baseline,
    toy_cdda,
    toy_dasac,
    toy_hr,
    toy_sdca,
    train,
    train_test_shared,
)

SERVER = 'test server'
DERIVED = 'derived config'
NEW = 'not published together'
ABLATION = "the paper's ablation"
PAPER = 'as in the paper'
CODE = 'as in the published code'
DEMO = 'source only beside self-training'

# fmt: off
TABLE = (
    row(0, 'toy/daformer_mitb0_toy_game2city', DEMO, recipe=demo, name='demo'),
    # SePiCo (Xie et al., TPAMI 2023)
    row(1, 'sepico/sepico_dist_dlv2_gta2cs', 'SePiCo DistCL', 61.0),
    row(2, 'sepico/sepico_bank_dlv2_gta2cs', 'SePiCo BankCL', 59.8),
    row(3, 'sepico/sepico_proto_dlv2_gta2cs', 'SePiCo ProtoCL', 58.8),
    row(4, 'sepico/sepico_dist_mitb5_gta2cs', 'SePiCo DistCL', 70.3),
    row(5, 'sepico/sepico_bank_mitb5_gta2cs', 'SePiCo BankCL', 68.7),
    row(6, 'sepico/sepico_proto_mitb5_gta2cs', 'SePiCo ProtoCL', 68.5),
    row(7, 'sepico/sepico_dist_dlv2_cs2dzur', 'SePiCo DistCL', 45.4, train, note=SERVER),
    row(8, 'sepico/sepico_dist_mitb5_cs2dzur', 'SePiCo DistCL', 54.2, train, note=SERVER),
    # DAFormer (Hoyer et al., CVPR 2022), and its baselines
    row(10, 'daformer/daformer_mitb5_gta2cs', 'DAFormer', 68.3),
    row(11, 'daformer/daformer_mitb5_synthia2cs', 'DAFormer', mIoU16=60.9),
    row(12, 'daformer/daformer_mitb5_cs2dzur', 'DAFormer', 53.8, note=SERVER),
    row(13, 'daformer/daformer_mitb5_cs2acdc', 'DAFormer', 55.4, note=SERVER),
    row(14, 'daformer/daformer_dlv2_gta2cs', "DAFormer's training"),
    row(15, 'dacs/dacs_dlv2_gta2cs', "DAFormer's DACS"),
    row(16, 'dacs/dacs_dlv2_synthia2cs', "DAFormer's DACS"),
    row(17, 'source_only/source_only_mitb5_gta2cs', 'source only'),
    row(18, 'oracle/oracle_mitb5_cs', 'supervised on the target'),
    row(19, 'source_only/source_only_dlv2_gta2cs', 'source only'),
    # HRDA (Hoyer et al., ECCV 2022)
    row(20, 'hrda/hrda_mitb5_gta2cs', 'HRDA', 73.8),
    row(21, 'hrda/hrda_mitb5_synthia2cs', 'HRDA', mIoU16=65.8),
    row(22, 'hrda/hrda_mitb5_cs2acdc', 'HRDA', 68.0, note=SERVER),
    row(23, 'hrda/hrda_mitb5_cs2dzur', 'HRDA', 55.9, note=SERVER),
    row(24, 'hrda/hrda_dlv2_gta2cs', 'HRDA'),
    # MIC (Hoyer et al., CVPR 2023)
    row(25, 'mic/mic_hrda_mitb5_gta2cs', 'MIC(HRDA)', 75.9),
    row(26, 'mic/mic_hrda_mitb5_synthia2cs', 'MIC(HRDA)', mIoU13=74.0),
    row(27, 'mic/mic_hrda_mitb5_cs2acdc', 'MIC(HRDA)', 70.4, note=SERVER),
    row(28, 'mic/mic_hrda_mitb5_cs2dzur', 'MIC(HRDA)'),
    row(29, 'mic/mic_daformer_mitb5_gta2cs', 'MIC(DAFormer)'),
    row(36, 'mic/mic_sepico_dist_mitb5_gta2cs', 'MIC(SePiCo DistCL)', note=NEW),
    # AdvSeg and MinEnt, baselines of MIC
    row(37, 'advseg/advseg_dlv2_gta2cs', 'AdvSeg'),
    row(38, 'minent/minent_dlv2_gta2cs', 'MinEnt'),
    # CDDA in its documented form; 90-95 are the form of its published code
    row(30, 'cdda/cdda_daformer_mitb5_gta2cs', 'CDDA(DAFormer)', recipe=cdda_best, note=PAPER),
    row(31, 'cdda/cdda_daformer_mitb5_synthia2cs', 'CDDA(DAFormer)', recipe=cdda_best, note=PAPER),
    row(32, 'cdda/cdda_hrda_mitb5_gta2cs', 'CDDA(HRDA)', recipe=cdda_best, note=PAPER),
    row(33, 'cdda/cdda_hrda_mitb5_synthia2cs', 'CDDA(HRDA)', recipe=cdda_best, note=PAPER),
    row(34, 'cdda/cdda_mic_mitb5_gta2cs', 'CDDA(MIC(HRDA))', recipe=cdda_best, note=PAPER),
    row(35, 'cdda/cdda_mic_mitb5_synthia2cs', 'CDDA(MIC(HRDA))', recipe=cdda_best, note=PAPER),
    row(39, 'cdda/cdda_sepico_dist_mitb5_gta2cs', 'CDDA(SePiCo DistCL)', recipe=cdda, note=NEW),
    # SDCA (Li et al., 2021), and FADA (Wang et al., ECCV 2020), its predecessor
    row(40, 'sdca/sdca_r101_gta2cs', 'SDCA', 52.9, sdca),
    row(41, 'sdca/sdca_r101_synthia2cs', 'SDCA', 50.2, sdca, mIoU13=56.8, note='16 classes'),
    row(42, 'sdca/sdca_vgg16_gta2cs', 'SDCA', 47.3, sdca),
    row(43, 'sdca/sdca_vgg16_synthia2cs', 'SDCA', 43.5, sdca, mIoU13=50.3, note='16 classes'),
    row(44, 'sdca/sdca_r101_cs2rio', 'SDCA', recipe=sdca),
    row(45, 'sdca/sdca_r101_cs2rome', 'SDCA', recipe=sdca),
    row(46, 'sdca/sdca_r101_cs2taipei', 'SDCA', recipe=sdca),
    row(47, 'sdca/sdca_r101_cs2tokyo', 'SDCA', recipe=sdca),
    row(48, 'fada/fada_r101_gta2cs', 'FADA without self-distillation', recipe=fada),
    # DA-SAC (Araslanov and Roth, CVPR 2021); before it its baseline with adaptive batch norm
    row(50, 'dasac/dasac_r101_gta2cs', 'DA-SAC', 53.8, dasac, earlier=dict(test_abn=dict(mIoU=40.8)), note='55.7 on the test server'),
    row(51, 'dasac/dasac_vgg16_gta2cs', 'DA-SAC', 49.8, dasac, earlier=dict(test_abn=dict(mIoU=37.1)), note='51.0 on the test server'),
    row(52, 'dasac/dasac_fcn8_gta2cs', 'DA-SAC', 49.9, dasac, earlier=dict(test_abn=dict(mIoU=36.7)), note='50.4 on the test server'),
    row(53, 'dasac/dasac_r101_synthia2cs', 'DA-SAC', recipe=dasac, earlier=dict(test_abn=dict(mIoU16=36.3)), mIoU16=52.6, note='52.7 on the test server'),
    row(54, 'dasac/dasac_vgg16_synthia2cs', 'DA-SAC', recipe=dasac, earlier=dict(test_abn=dict(mIoU16=34.4)), mIoU16=49.1, note='48.3 on the test server'),
    row(55, 'dasac/dasac_fcn8_synthia2cs', 'DA-SAC', recipe=dasac, earlier=dict(test_abn=dict(mIoU16=31.6)), mIoU16=46.8, note='45.8 on the test server'),
    row(56, 'dasac/views_sepico_dist_mitb5_gta2cs', "SePiCo DistCL with DA-SAC's views", note=NEW),
    row(57, 'dasac/views_daformer_mitb5_gta2cs', "DAFormer with DA-SAC's views", note=NEW),
    row(59, 'caco/caco_daformer_mitb5_gta2cs', "DAFormer with CaCo's contrast", note=NEW),
    # ADVENT (Vu et al., CVPR 2019), and the training on the source that CaCo starts from
    row(63, 'advent/advent_r101_gta2cs', 'AdvEnt'),
    row(64, 'caco/source_only_r101_gta2cs', 'source only, two levels', 39.0, train_test_shared, note='about, by CaCo'),
    # CaCo (Huang et al., CVPR 2022): the warm-up, with a dictionary of one domain or both
    row(66, 'caco/warmup_source_keys_r101_gta2cs', 'CaCo, keys of the source', 46.8, caco_warm_up, note=ABLATION),
    row(67, 'caco/warmup_target_keys_r101_gta2cs', 'CaCo, keys of the target', 48.3, caco_warm_up, note=ABLATION),
    row(68, 'caco/warmup_r101_gta2cs', 'CaCo, keys of both', 49.2, caco_warm_up, note=ABLATION),
    # SePiCo's other published rows
    row(70, 'sepico/sepico_dist_dlv2_synthia2cs', 'SePiCo DistCL', mIoU16=58.1, note=DERIVED),
    row(71, 'sepico/sepico_bank_dlv2_synthia2cs', 'SePiCo BankCL', mIoU16=57.4, note=DERIVED),
    row(72, 'sepico/sepico_proto_dlv2_synthia2cs', 'SePiCo ProtoCL', mIoU16=56.8, note=DERIVED),
    row(73, 'sepico/sepico_dist_mitb5_synthia2cs', 'SePiCo DistCL', mIoU16=64.3, note=DERIVED),
    row(74, 'sepico/sepico_bank_mitb5_synthia2cs', 'SePiCo BankCL', mIoU16=63.3, note=DERIVED),
    row(75, 'sepico/sepico_proto_mitb5_synthia2cs', 'SePiCo ProtoCL', mIoU16=62.9, note=DERIVED),
    row(76, 'sepico/sepico_bank_dlv2_cs2dzur', 'SePiCo BankCL', 44.1, train, note=SERVER),
    row(77, 'sepico/sepico_proto_dlv2_cs2dzur', 'SePiCo ProtoCL', 42.6, train, note=SERVER),
    row(78, 'sepico/sepico_bank_mitb5_cs2dzur', 'SePiCo BankCL', 53.3, train, note=SERVER),
    row(79, 'sepico/sepico_proto_mitb5_cs2dzur', 'SePiCo ProtoCL', 52.7, train, note=SERVER),
    # CDDA as its published code computes it
    row(90, 'cdda/cdda_published_daformer_mitb5_gta2cs', 'CDDA(DAFormer)', 69.6, cdda_best, note=CODE),
    row(91, 'cdda/cdda_published_daformer_mitb5_synthia2cs', 'CDDA(DAFormer)', recipe=cdda_best, mIoU16=63.2, note=CODE),
    row(92, 'cdda/cdda_published_hrda_mitb5_gta2cs', 'CDDA(HRDA)', 75.1, cdda_best, note=CODE),
    row(93, 'cdda/cdda_published_hrda_mitb5_synthia2cs', 'CDDA(HRDA)', recipe=cdda_best, mIoU16=67.3, note=CODE),
    row(94, 'cdda/cdda_published_mic_mitb5_gta2cs', 'CDDA(MIC(HRDA))', 76.9, cdda_best, note=CODE),
    row(95, 'cdda/cdda_published_mic_mitb5_synthia2cs', 'CDDA(MIC(HRDA))', recipe=cdda_best, mIoU16=68.7, note=CODE),
    # Small networks from scratch in the toy world
    row(101, 'toy/sepico_dist_mitb0_toy_game2city', 'SePiCo DistCL', recipe=toy),
    row(102, 'toy/sepico_bank_mitb0_toy_game2city', 'SePiCo BankCL', recipe=toy),
    row(103, 'toy/sepico_proto_mitb0_toy_game2city', 'SePiCo ProtoCL', recipe=toy),
    row(110, 'toy/daformer_mitb0_toy_game2city', 'self-training', recipe=toy),
    row(115, 'toy/dacs_mitb0_toy_game2city', 'DACS', recipe=toy),
    row(117, 'toy/source_only_mitb0_toy_game2city', 'source only', recipe=toy_baseline),
    row(118, 'toy/oracle_mitb0_toy_city', 'supervised on the target', recipe=toy),
    row(120, 'toy/hrda_r18_toyhr_game2city', 'HRDA', recipe=toy_hr),
    row(121, 'toy/daformer_r18_toyhr_game2city', 'self-training, half size', recipe=toy_hr),
    row(122, 'toy/source_only_r18_toyhr_game2city', 'source only, half size', recipe=toy_hr),
    row(125, 'toy/mic_mitb0_toy_game2city', 'MIC on self-training', recipe=toy),
    row(130, 'toy/cdda_mitb0_toy_game2city', 'CDDA on self-training', recipe=toy_cdda),
    row(137, 'toy/advseg_mitb0_toy_game2city', 'AdvSeg', recipe=toy),
    row(138, 'toy/minent_mitb0_toy_game2city', 'MinEnt', recipe=toy),
    row(140, 'toy/sdca_r18_toy_game2city', 'SDCA', recipe=toy_sdca),
    row(150, 'toy/dasac_r18_toy_game2city', 'DA-SAC', recipe=toy_dasac),
)
