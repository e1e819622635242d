import errno

import pytest

from mmseg_uda.errors import UserError, run_cli


@pytest.mark.parametrize(
    'message',
    [
        'x.png: cut off',
        'Caught UserError in DataLoader worker process 0.\nOriginal Traceback\n'
        'mmseg_uda.errors.UserError: x.png: cut off\n',
    ],
)
def test_a_user_error_is_one_line_and_status_2(message, capsys):
    def main():
        raise UserError(message)

    with pytest.raises(SystemExit) as stop:
        run_cli(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == 'error: x.png: cut off\n'


@pytest.mark.parametrize('code', ['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EACCES', 'EPERM'])
@pytest.mark.parametrize('path', [None, '/out/config.py'])
def test_what_the_system_refuses_is_one_line_and_status_2(code, path, capsys):
    def main():
        raise OSError(getattr(errno, code), 'the reason', *([path] if path else []))

    with pytest.raises(SystemExit) as stop:
        run_cli(main)
    assert stop.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f'error: {path or "a file cannot be written"}: the reason; ')
    assert shown.count('\n') == 1


@pytest.mark.parametrize('error', [ZeroDivisionError(), OSError(errno.ENOENT, 'no such file')])
def test_other_errors_keep_their_traceback(error):
    def main():
        raise error

    with pytest.raises(type(error)):
        run_cli(main)


@pytest.mark.parametrize(('returned', 'status'), [(None, 0), (3, 3)])
def test_status(returned, status):
    with pytest.raises(SystemExit) as stop:
        run_cli(lambda: returned)
    assert stop.value.code == status
