"""Adds the configs and the experiment table to wheels; all settings are in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copies the configs and the experiment table into the package (see ``mmseg_uda.config``)."""

    def run(self) -> None:
        """Build the package, then copy the files."""
        super().run()
        if self.editable_mode:  # the files in the repository are used
            return
        target = Path(self.build_lib, 'mmseg_uda', 'repository')
        shutil.rmtree(target, ignore_errors=True)
        ignore = shutil.ignore_patterns('__pycache__')
        shutil.copytree('configs', target / 'configs', ignore=ignore)
        shutil.copy('experiments.py', target)


setup(cmdclass={'build_py': BuildWithConfigs})
