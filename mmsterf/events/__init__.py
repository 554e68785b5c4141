"""Event-camera recordings and windows of them; imports no mm* package, and readers only when a file is opened."""

from .recordings import EVENT, SUFFIXES, Recording, is_recording, open_recording
from .steps import REPRESENTATIONS, to_steps

__all__ = ['EVENT', 'REPRESENTATIONS', 'SUFFIXES', 'Recording', 'is_recording', 'open_recording', 'to_steps']
