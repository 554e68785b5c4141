"""Published checkpoints: their names (`names`), conversion there and back (`convert`), files (`io`) and
addresses (`addresses`).

What loads them into models (`loading`) needs mmengine and is imported on its own.
"""

from .addresses import is_address, is_of_mmengine, local_file
from .convert import Description, convert, drop_heads, is_published, to_published
from .io import read, state_dict_of, write

__all__ = [
    'Description',
    'convert',
    'drop_heads',
    'is_address',
    'is_of_mmengine',
    'is_published',
    'local_file',
    'read',
    'state_dict_of',
    'to_published',
    'write',
]
