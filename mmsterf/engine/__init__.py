"""The logic behind tools/: configs, data sets, devices, and checkpoints that training resumes from exactly.

Importing this package imports no mm* package, so that `check_versions` can speak first.
"""

from .versions import check_versions, exit_on_error

__all__ = ['check_versions', 'exit_on_error']
