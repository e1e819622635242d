"""Estimate depth maps of images with a Depth Anything V2 model.

    mmseg-uda estimate-depth data/gta/images data/gta/depth_any
    mmseg-uda estimate-depth data/cityscapes/leftImg8bit data/cityscapes/depth_any

writes an 8-bit PNG of inverse depth (bright = near) for each image, in the same sub-folders; the
depth map of Cityscapes' <stem>_leftImg8bit.png is <stem>_depth.png. Existing depth maps are kept:
the same command resumes an interrupted run. Needs transformers: pip install 'mmseg-uda[depth]'.
"""

import argparse

from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import UserError, run_cli


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('images', metavar='IMAGES', help='folder of images')
    parser.add_argument('out', metavar='OUT', help='folder of the depth maps')
    parser.add_argument(
        '--model',
        default='depth-anything/Depth-Anything-V2-Small-hf',
        help='folder of a model, or its name on the model hub (%(default)s)',
    )
    parser.add_argument(
        '--size',
        type=int,
        default=518,
        help='short side of the network input in pixels (%(default)s)',
    )
    parser.add_argument(
        '--batch-size', type=int, default=4, help='images per forward pass (%(default)s)'
    )
    parser.add_argument(
        '--workers', type=int, default=2, help='number of processes that load images (%(default)s)'
    )
    parser.add_argument('--device', help='cuda or cpu; default: cuda if available')
    args = parser.parse_args(argv)
    for name, least in (('size', 14), ('batch_size', 1), ('workers', 0)):
        if getattr(args, name) < least:
            raise UserError(f'--{name.replace("_", "-")}: give at least {least}')
    import torch

    from mmseg_uda.preparation.estimate_depth import estimate_depth

    estimate_depth(
        args.images,
        args.out,
        args.model,
        args.size,
        args.batch_size,
        args.workers,
        args.device or ('cuda' if torch.cuda.is_available() else 'cpu'),
    )


if __name__ == '__main__':
    run_cli(main)
