"""Settings are in pyproject.toml; this adds the configs and the experiment table to wheels."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copies the configs and the experiment table into the package (see ``mmseg_uda.config``)."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the repository itself is used
            return
        target = Path(self.build_lib, 'mmseg_uda', 'repository')
        shutil.rmtree(target, ignore_errors=True)
        ignore = shutil.ignore_patterns('__pycache__')
        shutil.copytree('configs', target / 'configs', ignore=ignore)
        shutil.copy('experiments.py', target)


setup(cmdclass={'build_py': BuildWithConfigs})
