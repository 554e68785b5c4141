"""The logic behind tools/: configs, data sets, devices, and checkpoints that training resumes from exactly.

Importing this package imports no mm* package, so that `check_versions` can speak first.
"""

from mmsterf.errors import command_line
from mmsterf.versions import check_versions

__all__ = ['check_versions', 'command_line']
