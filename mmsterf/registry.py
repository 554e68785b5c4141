"""Registry nodes of scope ``mmsterf``, children of mmengine's root registries.

``type='mmsterf.X'`` in any config makes mmengine import this module, and the first look-up imports `locations`.
"""

from importlib.util import find_spec

from mmsterf.mmengine_names import teach
from mmsterf.versions import check_versions, missing_for_pretraining

try:
    check_versions(one_task=True)
except ImportError as error:
    # mmengine swallows an ImportError here and says that the type is unknown.
    raise RuntimeError(str(error)) from None

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

# One task alone is fine: segmentation runs without mmdet, detection without mmseg, both without mmpretrain.
_TASKS = [f'mmsterf.models.{task}' for task in ('det', 'seg') if find_spec(f'mm{task}')]
_TASKS += [] if missing_for_pretraining() else ['mmsterf.models.cls']
_COCO = ['mmsterf.datasets.event_coco'] if find_spec('mmdet') else []
_MAPS = ['mmsterf.datasets.event_seg'] if find_spec('mmseg') else []
LOCATIONS = {
    'model': ['mmsterf.models', *_TASKS],
    'dataset': [*_COCO, *_MAPS],
    'metric': _COCO,
    'hook': ['mmsterf.hooks', 'mmsterf.hooks.event_pictures'],
    'transform': ['mmsterf.datasets.events', 'mmsterf.datasets.label_maps', 'mmsterf.datasets.reading'],
}
"""Modules that a look-up in each registry imports first."""


def _child(parent: Registry) -> Registry:
    return Registry(parent.name, scope='mmsterf', parent=parent, locations=LOCATIONS[parent.name])


MODELS = _child(MMENGINE_MODELS)
DATASETS = _child(MMENGINE_DATASETS)
METRICS = _child(MMENGINE_METRICS)
HOOKS = _child(MMENGINE_HOOKS)
TRANSFORMS = _child(MMENGINE_TRANSFORMS)

teach()  # `mmsterf::config.py`, where no installation has done so


def build(cfg: dict, **defaults):
    """Build a nested mmsterf model component (neuron, mixer) whatever the default scope is.

    Args:
        cfg (dict): Config with a `type`, with or without the scope prefix.
        **defaults: Arguments that `cfg` may override.

    Raises:
        KeyError: If no component of that name is registered.
    """
    with MODELS.switch_scope_and_registry('mmsterf') as registry:
        return registry.build({**defaults, **cfg})
