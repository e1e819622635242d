"""Measure what training costs, on your machine.

python -m benchmarks step [CONFIG]     a training step compared with its network passes alone
python -m benchmarks full [CONFIG]     a full-size step and one test image
python -m benchmarks data [CONFIG]     samples per second on one core, share of decoding
python -m benchmarks contrast          SePiCo's contrast compared with a naive formulation
python -m benchmarks search            CDDA's search of a bank compared with the plain formula
python -m benchmarks distributions     SDCA's distributions and contrast, compared likewise
python -m benchmarks categories        CaCo's contrast with its dictionary, compared likewise
"""

import argparse
import os
import platform
import time

from mmseg_uda.command_line import CommandParser
from mmseg_uda.errors import run_cli


def main(argv: list[str] | None = None) -> int:
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    step = commands.add_parser('step', help='a training step compared with its passes alone')
    step.add_argument('config', nargs='?', default='configs/toy/daformer_mitb0_toy_game2city.py')
    step.add_argument('--size', type=int, nargs=2, default=(256, 256), metavar=('H', 'W'))
    step.add_argument('--batch-size', type=int, default=2)
    step.add_argument('--repeats', type=int, default=10)
    full = commands.add_parser('full', help='steps at full size, then one 1024 x 2048 test image')
    full.add_argument('config', nargs='?', default='configs/daformer/daformer_mitb5_gta2cs.py')
    full.add_argument('--size', type=int, nargs=2, default=(512, 512), metavar=('H', 'W'))
    full.add_argument('--batch-size', type=int, default=2)
    full.add_argument('--steps', type=int, default=1)
    data = commands.add_parser('data', help='data loading on one core')
    data.add_argument('config', nargs='?', default='configs/daformer/daformer_mitb5_gta2cs.py')
    data.add_argument('--samples', type=int, default=40)
    contrast = commands.add_parser('contrast', help='statistics and loss of pixel contrast')
    contrast.add_argument('--size', type=int, default=640, help='of the square images')
    contrast.add_argument('--strides', type=int, nargs='+', default=[8, 4])
    search = commands.add_parser('search', help='the search of a bank of depth distributions')
    search.add_argument('--rows', type=int, nargs='+', default=[9400, 24966])
    search.add_argument('--images', type=int, nargs='+', default=[1, 2], help='per search')
    search.add_argument('--repeats', type=int, default=7)
    search.add_argument(
        '--in-memory',
        type=int,
        default=24966,
        metavar='N',
        help='rows kept in memory; a larger bank repeats them (default %(default)s, 486 MB)',
    )
    search.add_argument('--device', default=None, help='default: cuda if there is one')
    semantic = commands.add_parser('distributions', help="SDCA's class distributions and contrast")
    semantic.add_argument('--size', type=int, nargs=2, default=(65, 129), metavar=('H', 'W'))
    semantic.add_argument('--channels', type=int, default=2048, help='of the features')
    for command, cells, memory in ((contrast, 12800, 0.2), (semantic, 16770, 0.6)):
        command.add_argument('--repeats', type=int, default=5)
        command.add_argument(
            '--naive-cells',
            type=int,
            default=cells,
            help=f'most cells for the naive formulation (default {cells}); it needs {memory} MB '
            'for each',
        )
        command.add_argument('--device', default=None, help='default: cuda if there is one')
    categories = commands.add_parser('categories', help="CaCo's contrast with its dictionary")
    categories.add_argument('--size', type=int, nargs=2, default=(65, 129), metavar=('H', 'W'))
    categories.add_argument('--images', type=int, default=1)
    categories.add_argument('--slots', type=int, default=100, help='keys of each class')
    categories.add_argument('--channels', type=int, default=2048, help='of the features')
    categories.add_argument('--repeats', type=int, default=5)
    categories.add_argument('--device', default=None, help='default: cuda if there is one')
    for command in (step, full):
        command.add_argument('--bf16', action='store_true', help='bfloat16 autocast')
        command.add_argument('--device', default=None, help='default: cuda if there is one')
    for command in (step, full, data):
        command.add_argument(
            '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='change the config'
        )
    args = parser.parse_args(argv)

    import mmseg_uda.register  # noqa: F401 - first: it silences messages of libraries

    what = getattr(args, 'config', args.command)
    print(f'{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {what}')
    benchmarks = {
        'step': benchmark_step,
        'full': benchmark_full,
        'data': benchmark_data,
        'contrast': benchmark_contrast,
        'search': benchmark_search,
        'distributions': benchmark_distributions,
        'categories': benchmark_categories,
    }
    return benchmarks[args.command](args)


def benchmark_step(args: argparse.Namespace) -> int:
    from benchmarks.step import measure_step, number_of_views, random_batch

    config = _config(args)
    method, optim_wrapper = _method(args, config)
    data = random_batch(args.size, args.batch_size, views=number_of_views(config))
    cost = measure_step(method, optim_wrapper, data, args.repeats)
    calls = ', '.join(f'{number} x {name}' for name, number in cost.calls.items())
    print(f'network passes of a step: {calls}')
    step, passes = cost.step, cost.passes
    print(f'step        {step.seconds:8.3f} s   {step.peak / 2**20:8.0f} MiB')
    print(f'passes      {passes.seconds:8.3f} s   {passes.peak / 2**20:8.0f} MiB (largest)')
    print(f'ratio       {step.seconds / passes.seconds:8.3f}     {step.peak / passes.peak:8.3f}')
    return 0


def benchmark_full(args: argparse.Namespace) -> int:
    import resource

    import torch

    from benchmarks.step import evaluate_image, number_of_views, random_batch

    config = _config(args)
    method, optim_wrapper = _method(args, config)
    parameters = sum(p.numel() for p in method.student.parameters())
    print(f'student: {parameters:,} parameters, {method.data_preprocessor.device}')
    data = random_batch(args.size, args.batch_size, views=number_of_views(config))
    for _ in range(args.steps):
        start = time.perf_counter()
        logs = {k: round(float(v), 4) for k, v in method.train_step(data, optim_wrapper).items()}
        print(f'step {time.perf_counter() - start:.2f} s  {logs}')
    start = time.perf_counter()
    labels = evaluate_image(method.student, (1024, 2048), str(method.data_preprocessor.device))
    print(f'test image {tuple(labels.shape[1:])} {time.perf_counter() - start:.2f} s')
    if torch.cuda.is_available():
        print(f'peak {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on the GPU')
    print(
        f'peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB in the process'
    )
    return 0


def benchmark_data(args: argparse.Namespace) -> int:
    import cv2
    from mmseg.registry import DATASETS

    config = _config(args)
    cv2.setNumThreads(0)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    decoding = 0.0
    decode = cv2.imdecode

    def timed(*values, **options):
        nonlocal decoding
        start = time.perf_counter()
        try:
            return decode(*values, **options)
        finally:
            decoding += time.perf_counter() - start

    cv2.imdecode = timed
    start = time.perf_counter()
    for position in range(args.samples):
        dataset[position]
    seconds = time.perf_counter() - start
    cv2.imdecode = decode
    print(
        f'{args.samples / seconds:.1f} samples per second on one core, '
        f'{decoding / seconds:.0%} decoding'
    )
    return 0


def benchmark_contrast(args: argparse.Namespace) -> int:
    import torch

    from benchmarks.contrast import measure_contrast
    from mmseg_uda.uda.components.pixel_contrast import VARIANTS

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    for stride in args.strides:
        for variant in VARIANTS:
            costs = measure_contrast(
                variant, args.size // stride, args.repeats, args.naive_cells, device=device
            )
            _print_costs(f'stride {stride}  {variant:5}', costs)
    return 0


def benchmark_search(args: argparse.Namespace) -> int:
    import torch

    from benchmarks.search import measure_search

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    print(f'{device}, {torch.get_num_threads()} threads')
    for rows in args.rows:
        for images in args.images:
            cost, (other, mean, classes) = measure_search(
                rows, images, args.repeats, args.in_memory, device
            )
            print(
                f'{rows:8} rows  {images} images  {cost.seconds / images:8.4f} s per image '
                f'(process {cost.cpu_seconds / images:.4f} s)  {cost.peak / 2**20:6.1f} MiB  '
                f'other best rows: {other}  largest difference: mean {mean:.1e}, '
                f'class {classes:.1e}',
                flush=True,
            )
    return 0


def benchmark_distributions(args: argparse.Namespace) -> int:
    import torch

    from benchmarks.contrast import measure_semantic

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    costs = measure_semantic(
        tuple(args.size), args.repeats, args.naive_cells, channels=args.channels, device=device
    )
    _print_costs(f'{args.channels} channels', costs)
    return 0


def benchmark_categories(args: argparse.Namespace) -> int:
    import torch

    from benchmarks.categories import make_problem, measure_categories

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    problem = make_problem(tuple(args.size), args.slots, args.channels, args.images, device)
    costs, *differences = measure_categories(problem, args.repeats)
    cells, keys = problem.labels.numel(), problem.reliability.numel()
    print(f'{keys} keys, similarity matrix {cells * keys * 4 / 2**20:.1f} MiB')
    _print_costs(f'{args.channels} channels', [(cells, cost) for cost in costs])
    print('relative difference: loss {:.1e}, gradient {:.1e}'.format(*differences))
    return 0


def _print_costs(what: str, costs: list) -> None:
    for name, (cells, cost) in zip(('ours', 'naive'), costs, strict=True):
        print(
            f'{what}  {name:5}  {cells:6} cells  {cost.seconds:7.4f} s  '
            f'{cost.peak / 2**20:6.0f} MiB'
        )


def _config(args: argparse.Namespace):
    from mmengine.registry import init_default_scope

    from mmseg_uda.config import parse_overrides
    from mmseg_uda.engine.config import load_config

    config = load_config(args.config, parse_overrides(args.cfg_options))
    init_default_scope('mmseg')
    return config


def _method(args: argparse.Namespace, config):
    import torch

    from benchmarks.step import build_method

    if args.bf16:
        config.optim_wrapper.type = 'AutocastOptimWrapper'
    return build_method(config, args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))


if __name__ == '__main__':
    run_cli(main)
