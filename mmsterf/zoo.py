"""The models that `model-index.yml` lists: their names, configs, sizes, published results and weights."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Optional

import yaml

ROOT = Path(__file__).resolve().parent / '.mim'
PACKAGES = {'Object Detection': 'mmdet', 'Semantic Segmentation': 'mmseg', 'Image Classification': 'mmpretrain'}
"""Which package's inferencer takes the models of a task."""
SHIPPED = 'Weights in the package'
"""Key of a model's `Metadata`: the file of weights that travels with the package, below `ROOT`."""


@cache
def models() -> tuple:
    """All models, as dicts with the keys of OpenMMLab's metafiles (`Name`, `Config`, `Metadata`, ...)."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    files = [yaml.safe_load((ROOT / name).read_text()) for name in index['Import']]
    return tuple(model for file in files for model in file['Models'])


def weights_of(model: dict) -> Optional[str]:
    """Where the weights of a model are: their address, the file in the package, or None."""
    shipped = model['Metadata'].get(SHIPPED)
    return model.get('Weights') or (str(ROOT / shipped) if shipped else None)


def models_of_package(folder: str) -> Iterator[dict]:
    """Those of the package whose model index lies in a folder, as its inferencer takes them.

    Args:
        folder (str): `.mim` of an installed mmdet, mmseg or mmpretrain, or the folder of its clone.
    """
    parts = Path(folder).parts[-2:]
    for model in models():
        package = PACKAGES[model['Results'][0]['Task']]
        if package in parts or Path(folder, package).is_dir():
            # Joined to the other package's folder, an absolute path stays what it is.
            yield {**model, 'Config': str(ROOT / model['Config']), 'Weights': weights_of(model)}
