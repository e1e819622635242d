"""``--start-from STAGE=FILE``: files that take the place of stages' results.

The stage's folder in the work dir then holds a record of the file and its checksum, so that a later
run uses it without the flag, and is refused with another file.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mmseg_uda.errors import UserError
from mmseg_uda.experiments import records
from mmseg_uda.experiments.experiment import Experiment, Stage
from mmseg_uda.files import looked_in

FLAG = '--start-from'


def parse(arguments: Iterable[str]) -> dict[str, str]:
    """``['a=x.pth', 'b=folder']`` as ``{'a': 'x.pth', 'b': 'folder'}``.

    Raises:
        UserError: an argument of another form, or a stage that is named twice.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        stage, _, path = argument.partition('=')
        if not stage or not path:
            raise UserError(f'{FLAG} {argument}: write STAGE=FILE')
        if found.setdefault(stage, path) != path:
            raise UserError(f'{FLAG}: stage {stage} has two files, {found[stage]} and {path}')
    return found


def checked(experiment: Experiment, start_from: Mapping[str, object]) -> dict[str, Path]:
    """Absolute paths by stage name.

    Raises:
        UserError: the stage is unknown, the file does not exist or does not fit the stage.
    """
    found = {}
    for name, path in start_from.items():
        stage, path, flag = experiment.stage(name, FLAG), Path(str(path)), f'{FLAG} {name}={path}'
        if not path.exists():
            raise UserError(f'{flag}: {path} does not exist{looked_in(path)}')
        if stage.kind == 'test':
            raise UserError(f'{flag}: {name} is a test; only trainings and commands have results')
        if stage.kind == 'train' and not path.is_file():
            raise UserError(f'{flag}: {path} is a folder; name a checkpoint in it')
        missing = [p for p in outputs(stage, path, stage.outputs).values() if not p.exists()]
        if missing:
            raise UserError(f'{flag}: {missing[0]} does not exist; the folder must contain it')
        found[name] = path.absolute()
    return found


def remembered(experiment: Experiment, work_dir: Path) -> dict[str, Path]:
    """What earlier runs in ``work_dir`` were given, by stage name."""
    found = {}
    for stage in experiment.stages:
        record = records.read_record(work_dir / stage.name)
        if record and 'given' in record:
            found[stage.name] = Path(record['given'])
    return found


def outputs(stage: Stage, path: Path, made: Mapping[str, object]) -> dict[str, Path]:
    """The outputs of ``stage`` if ``path`` takes the place of its result.

    Of a training, and of a command with one output, ``path`` is every output. A command with
    several takes a folder that contains all of them under the names that the stage gives them.

    Args:
        made: the outputs of the stage if it is run; only the names matter.

    Raises:
        UserError: the outputs of a command have fixed paths.
    """
    if stage.kind != 'command' or len(made) <= 1:
        return dict.fromkeys(made, path)
    if any(not declared.startswith('{folder}/') for declared in stage.outputs.values()):
        raise UserError(
            f'{FLAG} {stage.name}={path}: the stage has several outputs with fixed paths '
            f'({", ".join(stage.outputs.values())}); put them there instead'
        )
    return {name: Path(p.replace('{folder}', str(path))) for name, p in stage.outputs.items()}


def not_needed(experiment: Experiment, given: Iterable[str]) -> set[str]:
    """Stages that need not be run: what only given stages depend on, and tests of that."""
    stages, given = {stage.name: stage for stage in experiment.stages}, set(given)
    before = {name for stage in given for name in _depends_on(stages, stage)} - given
    found: set[str] = set()
    for stage in reversed(experiment.stages):
        readers = {other.name for other in experiment.stages if stage.name in other.reads}
        unread = stage.kind == 'test' and not before.isdisjoint(stage.reads)
        if (stage.name in before or unread) and readers <= given | found:
            found.add(stage.name)
    return found


def _depends_on(stages: Mapping[str, Stage], name: str) -> set[str]:
    """Names of the stages that stage ``name`` reads, directly or through others."""
    direct = [earlier for earlier in stages[name].reads if earlier in stages]
    return set(direct).union(*(_depends_on(stages, earlier) for earlier in direct))
