"""Event-camera recordings and windows of them; imports no mm* package, and readers only when a file is opened."""

from .opening import SUFFIXES, is_recording, open_recording
from .recordings import EVENT, Recording
from .steps import REPRESENTATIONS, to_steps

__all__ = ['EVENT', 'REPRESENTATIONS', 'SUFFIXES', 'Recording', 'is_recording', 'open_recording', 'to_steps']
