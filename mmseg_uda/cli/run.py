"""Run an experiment of the table, or a config file, from training to the table of results.

The same command run again goes on where it stopped: what is finished is not run again, a training
that broke off resumes from its newest whole checkpoint, and nothing is overwritten.
"""

import argparse

from mmseg_uda.command_line import CommandParser
from mmseg_uda.config import parse_overrides
from mmseg_uda.engine.launch import torchrun_world
from mmseg_uda.errors import UserError, run_cli
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.recipes import of_config
from mmseg_uda.experiments.stages import StageRunner
from mmseg_uda.experiments.table import find_experiment, load_table
from mmseg_uda.files import looked_in


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = CommandParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--exp', metavar='ID', help='experiment of the table, by number or name')
    what.add_argument(
        '--config',
        metavar='FILE',
        help='train this config, then test the result; .py may be left out',
    )
    what.add_argument('--list', action='store_true', help='show the table of experiments')
    parser.add_argument(
        '--work-dir', metavar='DIR', help='default: work_dirs/<experiment>/seed<seed>'
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='only resume: refuse to start where nothing was started (a run that is there is '
        'resumed without it too)',
    )
    parser.add_argument('--seed', type=int, help="of every training; default: its config's")
    parser.add_argument(
        '--gpus', type=int, default=1, metavar='N', help='training processes, one a GPU; default: 1'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override entries of the configs'
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='show stages, files and what is done; run nothing'
    )
    parser.add_argument('--tensorboard', action='store_true', help='write TensorBoard scalars')
    parser.add_argument(
        '--select-best',
        action='store_true',
        help='hand on the checkpoint that scores best on the target validation labels, where a '
        'stage tests all of them, instead of the last one',
    )
    arguments = parser.parse_args(argv)
    if arguments.gpus < 1:
        parser.error(f'--gpus {arguments.gpus}: at least one process is needed')
    if arguments.seed is not None and arguments.seed < 0:
        parser.error(f'--seed {arguments.seed}: must not be negative')
    return arguments


def table() -> str:
    """The experiments: id, name, published figure, what it is and the configs that it trains."""
    experiments = load_table().values()
    width = max(len(experiment.name) for experiment in experiments)
    lines = [f'{"id":>3}  {"name":{width}}  published      what']
    for experiment in experiments:
        figures = [f'{value:.1f} {name}' for name, value in experiment.published.items()]
        what = [experiment.method, experiment.network, experiment.domains, experiment.note]
        lines.append(
            f'{experiment.id:3}  {experiment.name:{width}}  {", ".join(figures) or "-":13}  '
            + ', '.join(filter(None, what))
        )
        configs = [stage.config for stage in experiment.stages if stage.kind == 'train']
        lines += [f'{"":{width + 22}}{config}' for config in configs]
    return '\n'.join(lines)


def results(plan: Plan) -> str:
    """What the test stages found, beside the published figure."""
    experiment, scores = plan.experiment, plan.scores()
    metrics = [
        metric
        for metric in ('mIoU', 'mIoU16', 'mIoU13')
        if any(metric in found for found in scores.values())
    ]
    width = max(map(len, [*scores, 'published']))
    lines = [f'{"":{width}}  ' + '  '.join(f'{metric:>6}' for metric in metrics)]
    for name, found in scores.items():
        cells = (_percent(found.get(metric)) for metric in metrics)
        best = found.get('best', {}).get('mIoU')
        lines.append(f'{name:{width}}  ' + '  '.join(cells))
        if best is not None:
            lines[-1] += f'  (best checkpoint by target labels: {best:.2f} mIoU)'
    if experiment.published:
        cells = (_percent(experiment.published.get(metric)) for metric in metrics)
        lines.append(f'{"published":{width}}  ' + '  '.join(cells))
    return '\n'.join([*lines, f'files: {plan.work_dir}'])


def _percent(figure: float | None) -> str:
    return f'{"-":>6}' if figure is None else f'{figure:6.2f}'


def main(argv: list[str] | None = None) -> int | None:
    arguments = parse_arguments(argv)
    if arguments.list:
        print(table())
        return None
    if arguments.config:
        experiment = of_config(arguments.config)
    else:
        experiment = find_experiment(arguments.exp)
    if arguments.select_best:
        experiment = experiment.handing_on_the_best()
    _, processes = torchrun_world() or (0, arguments.gpus)
    plan = Plan(
        experiment,
        arguments.work_dir,
        seed=arguments.seed,
        processes=processes,
        overrides=parse_overrides(arguments.cfg_options),
    )
    if arguments.dry_run:
        print(plan.describe())
        return None
    if arguments.resume and not plan.work_dir.exists():
        raise UserError(
            f'--resume: nothing was started in {plan.work_dir}{looked_in(plan.work_dir)}: '
            'give another --work-dir or --seed, or leave out --resume to start the experiment'
        )
    runner = StageRunner(plan, tensorboard=arguments.tensorboard)
    runner.run()
    runner.say(results(plan))
    return None


if __name__ == '__main__':
    run_cli(main)
