"""What pyproject.toml cannot say: `mmsterf.pth`, which makes the package's names known to mmengine, goes beside it.

Without it everything works but `mmsterf::CONFIG` in programs that do not import mmsterf themselves.
"""

from setuptools import Distribution, setup  # isort: skip  (brings distutils where Python has none)
from distutils.command.install_data import install_data


class BesideThePackage(install_data):
    """Puts data files where the package itself goes, in wheels and in editable installs."""

    def finalize_options(self):
        """Take the place from the command that installs."""
        self.set_undefined_options('install', ('install_purelib', 'install_dir'), ('root', 'root'), ('force', 'force'))


class WithData(Distribution):
    """Lets editable installs ask for data files, too."""

    has_data = Distribution.has_data_files


setup(distclass=WithData, data_files=[('', ['mmsterf.pth'])], cmdclass={'install_data': BesideThePackage})
