import pytest

from tests.experiments.runs import substitute


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    """Substitutes for training and testing, see :func:`tests.experiments.runs.substitute`."""
    monkeypatch.chdir(tmp_path)
    return substitute(monkeypatch)
