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


def test_other_errors_keep_their_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_cli(main)


@pytest.mark.parametrize(('returned', 'status'), [(None, 0), (3, 3)])
def test_status(returned, status):
    with pytest.raises(SystemExit) as stop:
        run_cli(lambda: returned)
    assert stop.value.code == status
