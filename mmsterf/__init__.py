"""Spiking Transformers and spatio-temporal effective receptive fields for OpenMMLab.

Importing this package imports no mm* package: registries live in `mmsterf.registry`, which OpenMMLab imports by
itself when a config names a type as ``mmsterf.X``.
"""

__version__ = '0.2.0'
