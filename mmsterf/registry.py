"""Registry nodes of scope ``mmsterf``, children of mmengine's root registries.

``type='mmsterf.X'`` in any config makes mmengine import this module, and the first look-up imports `locations`.
"""

from importlib.util import find_spec

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import Registry

# One task alone is fine: segmentation runs without mmdet, detection without mmseg.
_TASKS = [f'mmsterf.models.{task}' for task, package in (('det', 'mmdet'), ('seg', 'mmseg')) if find_spec(package)]

MODELS = Registry('model', scope='mmsterf', parent=MMENGINE_MODELS, locations=['mmsterf.models', *_TASKS])
HOOKS = Registry('hook', scope='mmsterf', parent=MMENGINE_HOOKS, locations=['mmsterf.hooks'])

# mmengine knows the packages of `pkg::config.py` by this table alone.
MODULE2PACKAGE.setdefault('mmsterf', 'mmsterf')


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
