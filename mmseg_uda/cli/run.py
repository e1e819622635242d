"""Run an experiment of the table, or a config file, from training to the table of results.

The same command resumes an interrupted run: finished stages are not run again, an interrupted
training resumes from its newest intact checkpoint, and no result is overwritten.
"""

import argparse

from mmseg_uda.command_line import CommandParser
from mmseg_uda.config import parse_overrides
from mmseg_uda.engine.launch import torchrun_world
from mmseg_uda.errors import UserError, run_cli
from mmseg_uda.experiments import given
from mmseg_uda.experiments.overview import describe, scores
from mmseg_uda.experiments.plan import Plan
from mmseg_uda.experiments.recipes import of_config
from mmseg_uda.experiments.stages import StageRunner
from mmseg_uda.experiments.table import find_experiment, load_table
from mmseg_uda.files import looked_in

PUBLISHED = '  published'  # the row below that of a stage


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = CommandParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--exp', metavar='ID', help='experiment of the table, by id or name')
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
        help='refuse to start a new run (an interrupted run is resumed without this flag too)',
    )
    parser.add_argument('--seed', type=int, help="seed of every training; default: its config's")
    parser.add_argument(
        '--gpus',
        type=int,
        default=1,
        metavar='N',
        help='training processes, one a GPU; default: 1',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override entries of the configs'
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='show stages, files and what is done; run nothing'
    )
    parser.add_argument(
        '--only', metavar='STAGE', help='run this stage alone; the stages it reads must be finished'
    )
    parser.add_argument(
        given.FLAG,
        action='append',
        default=[],
        metavar='STAGE=FILE',
        help="use this file as the stage's result: a checkpoint of a training, the output of a "
        'command, or a folder that contains its outputs. The work dir remembers it; stages that '
        'only lead to it are not run. May be repeated',
    )
    parser.add_argument('--tensorboard', action='store_true', help='write TensorBoard scalars')
    parser.add_argument(
        '--select-best',
        action='store_true',
        help='where a stage tests all checkpoints of a training, later stages read the one with '
        'the best mIoU on the target validation labels instead of the last one',
    )
    arguments = parser.parse_args(argv)
    if arguments.gpus < 1:
        parser.error(f'--gpus {arguments.gpus}: at least one process is needed')
    if arguments.seed is not None and arguments.seed < 0:
        parser.error(f'--seed {arguments.seed}: must not be negative')
    return arguments


def table() -> str:
    """A line for each experiment: id, name, published figures, description, trained configs."""
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
    """A table of the metrics of all test stages, each followed by its published figures."""
    experiment, found_by_stage = plan.experiment, scores(plan)
    files = f'files: {plan.work_dir}'
    if not found_by_stage:
        return files
    metrics = [
        metric
        for metric in ('mIoU', 'mIoU16', 'mIoU13')
        if any(metric in found for found in found_by_stage.values())
    ]
    width = max(map(len, [*found_by_stage, PUBLISHED]))
    lines = [f'{"":{width}}  ' + '  '.join(f'{metric:>6}' for metric in metrics)]
    for name, found in found_by_stage.items():
        lines.append(_line(name, width, [found.get(metric) for metric in metrics]))
        best = found.get('best', {}).get('mIoU')
        if best is not None:
            lines[-1] += f'  (best checkpoint by target labels: {best:.2f} mIoU)'
        if published := experiment.stage(name, '').published:
            lines.append(_line(PUBLISHED, width, [published.get(metric) for metric in metrics]))
    return '\n'.join([*lines, files])


def _line(name: str, width: int, values: list[float | None]) -> str:
    cells = (f'{"-":>6}' if value is None else f'{value:6.2f}' for value in values)
    return f'{name:{width}}  ' + '  '.join(cells)


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
        experiment = experiment.with_best_checkpoints()
    _, processes = torchrun_world() or (0, arguments.gpus)
    plan = Plan(
        experiment,
        arguments.work_dir,
        seed=arguments.seed,
        processes=processes,
        overrides=parse_overrides(arguments.cfg_options),
        start_from=given.parse(arguments.start_from),
        only=arguments.only,
    )
    if arguments.dry_run:
        print(describe(plan))
        return None
    if arguments.resume and not plan.work_dir.exists():
        raise UserError(
            f'--resume: nothing was started in {plan.work_dir}{looked_in(plan.work_dir)}: '
            'name another --work-dir or --seed, or leave out --resume to start the experiment'
        )
    runner = StageRunner(plan, tensorboard=arguments.tensorboard)
    runner.run()
    runner.say(results(plan))
    return None


if __name__ == '__main__':
    run_cli(main)
