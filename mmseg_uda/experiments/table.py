"""The experiment table: ``experiments.py``, a file that users can read and extend."""

import difflib
import importlib.util
from collections.abc import Iterable
from functools import cache

from mmseg_uda.config import find_file
from mmseg_uda.errors import UserError
from mmseg_uda.experiments.experiment import Experiment

FILE = 'experiments.py'


@cache
def load_table() -> dict[int, Experiment]:
    """The experiments by id, in the order of the table.

    The file is the first one found in the working folder, the repository, the installed package.

    Raises:
        UserError: the file cannot be read, or two rows have the same id or name.
    """
    path = find_file(FILE)
    spec = importlib.util.spec_from_file_location('mmseg_uda_experiment_table', path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return by_id(module.TABLE)
    except UserError:
        raise
    except Exception as error:  # the table is Python: anything can go wrong in it
        raise UserError(f'the experiment table {path} cannot be read: {error!r}') from error


def by_id(table: Iterable[Experiment]) -> dict[int, Experiment]:
    """The experiments by id.

    Raises:
        UserError: two experiments have the same id or name.
    """
    experiments: dict[int, Experiment] = {}
    names: dict[str, Experiment] = {}
    for experiment in table:
        for known, key in ((experiments, experiment.id), (names, experiment.name)):
            other = known.setdefault(key, experiment)
            if other is not experiment:
                raise UserError(
                    f'{FILE}: experiments {other.id} and {experiment.id} are both {key}'
                )
    return experiments


def find_experiment(name: str) -> Experiment:
    """The experiment with this id or name.

    Raises:
        UserError: there is none; the message names similar ones.
    """
    table = load_table()
    for experiment in table.values():
        if name in (str(experiment.id), experiment.name):
            return experiment
    if name.isdigit():
        close = [str(id) for id in sorted(table, key=lambda id: abs(id - int(name)))[:3]]
    else:
        names = [experiment.name for experiment in table.values()]
        close = difflib.get_close_matches(name, names, cutoff=0.4)
    hint = f'; close: {", ".join(close)}' if close else ''
    raise UserError(f'there is no experiment {name}{hint}; --list shows all')
