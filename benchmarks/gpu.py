"""Measure training steps, evaluation and CDDA's search on a GPU, and run the device tests there.

python -m benchmarks.gpu              measure the rows missing in --out, for at most --minutes
python -m benchmarks.gpu --table      print the measured rows as a Markdown table
python -m benchmarks.gpu --rehearse   run every row with small sizes on the CPU

The packages of requirements.txt (torch 2.11 or newer) are needed; this package need not be
installed, and neither data sets nor pretrained weights nor a network connection are needed. The
file is written after every row: repeat the command until no row is missing. Rows that failed, other
than for lack of memory, are repeated last.
"""

import argparse
import gc
import json
import shlex
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu_rows import FULL, REHEARSAL, Metrics, Row, Setting, all_rows
from mmseg_uda.errors import UserError, run_cli
from mmseg_uda.files import save_json

SCHEMA = 1
NO_MEMORY = 'out of memory'


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--minutes', type=float, default=9.0, help='default %(default)s')
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/gpu.json'), help='default %(default)s'
    )
    parser.add_argument('--table', action='store_true', help='print the table and exit')
    parser.add_argument('--rehearse', action='store_true', help='small sizes, on the CPU')
    args = parser.parse_args(argv)
    if args.table:
        print(table(read(args.out)))
        return 0
    deadline = time.monotonic() + 60 * args.minutes

    try:
        import torch

        import mmseg_uda.register  # noqa: F401 - it silences messages of libraries
    except ImportError as error:
        raise UserError(f'{error}: the packages of requirements.txt are needed') from error

    setting = REHEARSAL if args.rehearse else FULL
    if setting.device == 'cuda' and not torch.cuda.is_available():
        raise UserError('torch finds no GPU; --rehearse runs every row with small sizes on the CPU')
    # The published runs did not use TF32; newer GPUs do by torch's default, in convolutions.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    call = shlex.join(['python', '-m', 'benchmarks.gpu', *(sys.argv[1:] if argv is None else argv)])
    return run_rows(all_rows(), setting, args.out, deadline, call)


def run_rows(rows: list[Row], setting: Setting, out: Path, deadline: float, command: str) -> int:
    """Run the rows that are missing in ``out`` and fit in the time; return 1 if any row failed.

    Args:
        deadline: value of ``time.monotonic``.
        command: stored with each row.

    Raises:
        UserError: ``out`` holds rows of another device, or is not a file of rows.
    """
    import torch

    done = read(out)
    about = dict(device=_device_name(setting.device), torch=str(torch.__version__), tf32=False)
    for name, row in done.items():
        if row['device'] != about['device']:
            raise UserError(
                f'{out}: its row {name!r} is of {row["device"]}, this is {about["device"]}; '
                'choose another --out'
            )
    missing = [row for row in rows if row.name not in done]
    failed = [row for row in rows if _is_to_repeat(done.get(row.name, {}))]
    for row in [*missing, *failed]:
        left, expected = deadline - time.monotonic(), _expected(row, done)
        if expected > left:
            print(f'{row.name}: not started: {left:.0f} s are left, it may take {expected:.0f} s')
            continue
        start = time.monotonic()
        metrics, lost = _attempt(row, setting, left)
        took = round(time.monotonic() - start, 2)
        about_row = dict(kind=row.kind, precision=row.precision, command=command, took=took)
        done[row.name] = about | about_row | metrics
        save_json(out, dict(schema=SCHEMA, rows=done))
        print(f'{row.name}: {metrics.get("error") or _cells(done[row.name])[0]}', flush=True)
        if lost:
            print('the GPU is no longer usable in this process: run the command again')
            break
    absent = [row.name for row in rows if row.name not in done]
    print(f'{out}: {len(done)} rows' + (f', missing: {"; ".join(absent)}' if absent else ''))
    return int(any('error' in row for row in done.values()))


def _attempt(row: Row, setting: Setting, left: float) -> tuple[Metrics, bool]:
    """Metrics of a row or its error, and whether the GPU is unusable in this process."""
    import torch

    lost = False
    try:
        metrics = row.measure(setting, left)
    except torch.OutOfMemoryError as error:
        metrics = dict(error=f'{NO_MEMORY}: {_one_line(error)}')
    except Exception as error:  # any error is the result of the row; the others still run
        metrics = dict(error=_one_line(error), traceback=traceback.format_exc())
        lost = isinstance(error, torch.AcceleratorError)
    gc.collect()
    if setting.device == 'cuda' and not lost:
        torch.cuda.empty_cache()
    return metrics, lost


def _one_line(error: Exception) -> str:
    return f'{type(error).__name__}: {" ".join(str(error).split())}'


def _is_to_repeat(row: Mapping[str, Any]) -> bool:
    return 'error' in row and not row['error'].startswith(NO_MEMORY)


def _expected(row: Row, done: Mapping[str, Mapping[str, Any]]) -> float:
    """Most seconds that a row of the same kind took, or else any row."""
    alike = [other['took'] for other in done.values() if other['kind'] == row.kind]
    return max(alike or [other['took'] for other in done.values()], default=0.0)


def _device_name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == 'cuda' else 'CPU'


def read(out: Path) -> dict[str, dict[str, Any]]:
    """Rows of a file by name; empty if it does not exist.

    Raises:
        UserError: it is another kind of file.
    """
    if not out.exists():
        return {}
    try:
        content = json.loads(out.read_text())
        if content['schema'] != SCHEMA:
            raise ValueError(f'schema {content["schema"]}')
        return dict(content['rows'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f'{out} holds no rows of this benchmark ({error}); move it away') from error


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown table with one line per row, below what all rows have in common."""
    if not rows:
        return 'Nothing measured yet.'
    machines = {f'{row["device"]}, torch {row["torch"]}, no TF32' for row in rows.values()}
    lines = [*sorted(machines), '', '| | time | peak memory |', '| --- | --- | --- |']
    lines += [f'| {name} | {" | ".join(_cells(row))} |' for name, row in rows.items()]
    return '\n'.join(lines)


def _cells(row: Mapping[str, Any]) -> tuple[str, str]:
    """Time and memory as text."""
    if 'error' in row:
        return row['error'].replace('|', '/'), ''
    if row['kind'] == 'tests':
        return row['result'], ''
    seconds, mebibytes = row['seconds'], row['peak_bytes'] / 2**20
    memory = f'{mebibytes / 1024:.2f} GiB' if mebibytes >= 1024 else f'{mebibytes:.1f} MiB'
    if row['kind'] == 'step':
        return f'{seconds:.3f} s per step of {row["images"]} + {row["images"]} images', memory
    if row['kind'] == 'evaluation':
        return f'{1 / seconds:.2f} images per second', memory
    difference = f'{row["other_best_rows"]} other rows, {row["largest_difference"]:.1e} off'
    time_each = f'{1000 * seconds / row["images"]:.2f} ms per image of {row["rows"]} rows'
    return f'{time_each} ({difference})', f'{memory} beside the bank'


if __name__ == '__main__':
    run_cli(main)
