"""Registry nodes of scope ``mmsterf``, children of mmengine's root registries.

``type='mmsterf.X'`` in any config makes mmengine import this module, and the first look-up imports `locations`.
"""

from importlib.util import find_spec
from pathlib import Path

from mmsterf.engine import check_versions
from mmsterf.engine.versions import missing_for_pretraining

try:
    check_versions(one_task=True)
except ImportError as error:
    # mmengine swallows an ImportError here and says that the type is unknown.
    raise RuntimeError(str(error)) from None

from mmengine.config import config as _config
from mmengine.config import utils as _utils
from mmengine.hub import hub as _hub
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

# One task alone is fine: segmentation runs without mmdet, detection without mmseg, both without mmpretrain.
_TASKS = [f'mmsterf.models.{task}' for task in ('det', 'seg') if find_spec(f'mm{task}')]
_TASKS += [] if missing_for_pretraining() else ['mmsterf.models.cls']

MODELS = Registry('model', scope='mmsterf', parent=MMENGINE_MODELS, locations=['mmsterf.models', *_TASKS])
_COCO = ['mmsterf.datasets.event_coco'] if find_spec('mmdet') else []
_MAPS = ['mmsterf.datasets.event_seg'] if find_spec('mmseg') else []
DATASETS = Registry('dataset', scope='mmsterf', parent=MMENGINE_DATASETS, locations=[*_COCO, *_MAPS])
METRICS = Registry('metric', scope='mmsterf', parent=MMENGINE_METRICS, locations=_COCO)
HOOKS = Registry(
    'hook', scope='mmsterf', parent=MMENGINE_HOOKS, locations=['mmsterf.hooks', 'mmsterf.hooks.event_pictures']
)
TRANSFORMS = Registry(
    'transform',
    scope='mmsterf',
    parent=MMENGINE_TRANSFORMS,
    locations=['mmsterf.datasets.events', 'mmsterf.datasets.label_maps', 'mmsterf.datasets.reading'],
)

# Makes `mmsterf::config.py` work where mmengine takes `pkg::folder/config.py`: it knows packages by a table, asks for
# a folder, which the configs here do without, and looks into site-packages, where an editable install is not.
_utils.MODULE2PACKAGE.setdefault('mmsterf', 'mmsterf')


def _package_and_path(name: str, otherwise=_utils._get_package_and_cfg_path) -> tuple:
    package, _, path = name.partition('::')
    return (package, path) if package == 'mmsterf' else otherwise(name)


def _installed_path(package: str, otherwise=_hub.get_installed_path) -> str:
    return str(Path(__file__).parent) if package == 'mmsterf' else otherwise(package)


def _external_path(package_path: str, name: str, otherwise=_config._get_external_cfg_path) -> str:
    if name.startswith('_base_/'):  # in no model index; to read all of one takes mmengine most of a second each time
        raise ValueError(f'{name} is not in the model index')
    return otherwise(package_path, name)


def _cfg_path(path: str, file: str, otherwise=_config.Config._get_cfg_path) -> tuple:
    path, scope = otherwise(path, file)
    # The types in a config of ours are those of its task, as when it is inherited by a path: with our scope on them,
    # mmdet's LoadAnnotations would be mmcv's, and ImageClassifier unknown.
    return path, None if scope == 'mmsterf' else scope


_config.Config._get_cfg_path = staticmethod(_cfg_path)
_config._get_external_cfg_path = _external_path
for _module in (_config, _hub):
    _module._get_package_and_cfg_path = _package_and_path
    _module.get_installed_path = _installed_path


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
