"""Analyse a trained network: `tsne` plots a 2-D embedding of test image pixels."""

from pathlib import Path

from mmseg_uda.command_line import CommandParser
from mmseg_uda.config import parse_overrides
from mmseg_uda.errors import run_cli


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = CommandParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    tsne = commands.add_parser(
        'tsne', help='t-SNE of features or logits, coloured by the true class'
    )
    tsne.add_argument('config', help='config that the checkpoint was trained with')
    tsne.add_argument('checkpoint', help='.pth file')
    tsne.add_argument('--out', required=True, metavar='DIR', help='writes DIR/<image name>.png')
    tsne.add_argument('--level', choices=['features', 'logits'], default='features')
    tsne.add_argument(
        '--images', type=int, default=5, metavar='N', help='number of test images (default 5)'
    )
    tsne.add_argument(
        '--pixels', type=int, default=2000, metavar='N', help='points in each plot (default 2000)'
    )
    tsne.add_argument('--seed', type=int, default=0, help='seed of the random choice of pixels')
    tsne.add_argument('--network', choices=['student', 'teacher'], default='student')
    tsne.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override entries of the config'
    )
    args = parser.parse_args(argv)
    if args.images < 1 or args.pixels < 3:
        parser.error('--images must be at least 1, --pixels at least 3')
    overrides = parse_overrides(args.cfg_options)

    from mmengine.device import get_device

    import mmseg_uda.register  # noqa: F401 - first: silences messages of imported libraries
    from mmseg_uda.engine.config import load_config
    from mmseg_uda.evaluation.embedding import draw_embeddings
    from mmseg_uda.evaluation.inference import build_segmentor, build_test_loader

    config = load_config(args.config, overrides)
    segmentor = build_segmentor(config, args.checkpoint, args.network, get_device())
    config.test_dataloader.batch_size = 1
    loader = build_test_loader(config, labels=True)
    options = dict(level=args.level, images=args.images, pixels=args.pixels, seed=args.seed)
    for path in draw_embeddings(segmentor, loader, Path(args.out), **options):
        print(path)


if __name__ == '__main__':
    run_cli(main)
