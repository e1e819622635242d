"""``python -m mmseg_uda.cli VERB``."""

from mmseg_uda.cli.main import run

run()
