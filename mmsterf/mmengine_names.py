"""Makes `mmsterf::CONFIG` and model names of mmsterf known to mmengine, which knows packages by a table of its own.

`teach()` changes the modules of mmengine that are loaded, and each of the others when it is imported. An installed
mmsterf calls it whenever Python starts (`mmsterf.pth`), so that mmdet's and mmseg's own tools know the names; from a
clone that is not installed, `import mmsterf.registry` calls it. Imports next to nothing, since each start pays for it.
"""

import os
import sys
from importlib.machinery import PathFinder

PACKAGE = os.path.dirname(os.path.abspath(__file__))
_MARK = '_taught_by_mmsterf'


def teach() -> None:
    """Make the names known, now or as soon as mmengine is imported."""
    for name in _LESSONS:
        if name in sys.modules:
            _teach(sys.modules[name])
    if not any(isinstance(finder, _WhenImported) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenImported())


def _teach(module) -> None:
    if not hasattr(module, _MARK):
        setattr(module, _MARK, True)
        _LESSONS[module.__name__](module)


class _WhenImported:
    """Finds the modules in question as Python does, and has them taught when they have run."""

    def find_spec(self, name: str, path=None, target=None):
        """As of an `importlib.abc.MetaPathFinder`."""
        spec = PathFinder.find_spec(name, path, target) if name in _LESSONS else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_teach(module) -> None:
            run(module)
            # Another version of mmengine may have other functions: it must work all the same, without our names.
            try:  # noqa: SIM105  contextlib is an import more
                _teach(module)
            except AttributeError:
                pass

        spec.loader.exec_module = run_and_teach
        return spec


def _utils(module) -> None:
    """mmengine.config.utils: the table of packages, by import name."""
    table = module.MODULE2PACKAGE
    table.setdefault('mmsterf', 'mmsterf')
    # The onedl fork of mmengine names a distribution for mmseg that its fork of mmseg does not have; any name that is
    # no distribution is looked for as a module.
    from importlib.metadata import PackageNotFoundError, distribution
    from importlib.util import find_spec

    try:
        distribution(table.get('mmseg', 'mmseg'))
    except PackageNotFoundError:
        if find_spec('mmseg') is not None:
            table['mmseg'] = 'mmseg'


def _paths(module) -> None:
    """What finds `pkg::folder/config.py`: it asks for a folder, which configs here do without, and for site-packages,
    where an editable install is not."""
    name_otherwise, path_otherwise = module._get_package_and_cfg_path, module.get_installed_path

    def package_and_path(name: str) -> tuple:
        package, _, path = name.partition('::')
        return (package, path) if package == 'mmsterf' else name_otherwise(name)

    def installed_path(package: str) -> str:
        return PACKAGE if package == 'mmsterf' else path_otherwise(package)

    module._get_package_and_cfg_path = package_and_path
    module.get_installed_path = installed_path


def _config(module) -> None:
    """mmengine.config.config: `_base_ = 'mmsterf::...'`."""
    _paths(module)
    external, cfg_path = module._get_external_cfg_path, module.Config._get_cfg_path

    def external_path(package_path: str, name: str) -> str:
        # To read a whole model index takes mmengine most of a second; ours says nothing about places.
        if name.startswith('_base_/') or package_path == PACKAGE:
            raise ValueError(f'{name} is not in the model index')
        return external(package_path, name)

    def path_and_scope(path: str, file: str) -> tuple:
        path, scope = cfg_path(path, file)
        # The types in a config of ours are those of its task, as when it is inherited by a path: with our scope on
        # them, mmdet's LoadAnnotations would be mmcv's, and ImageClassifier unknown.
        return path, None if scope == 'mmsterf' else scope

    module._get_external_cfg_path = external_path
    module.Config._get_cfg_path = staticmethod(path_and_scope)


def _hub(module) -> None:
    """mmengine.hub.hub: `get_config` and `get_model`."""
    _paths(module)
    otherwise, index = module.get_model, module._get_cfg_metainfo

    def cfg_metainfo(package_path: str, name: str) -> dict:
        if os.path.isabs(name):  # a config of ours: all of mmseg's index would be read for nothing
            raise ValueError(f'{name} is not in the model index')
        found = index(package_path, name)
        if package_path == PACKAGE:
            from mmsterf.zoo import weights_of

            weights = weights_of(found)
            found = {**found, 'Weights': weights} if weights else found
        return found

    def get_model(cfg_path: str, pretrained: bool = False, **kwargs):
        """As mmengine's; a model of mmsterf is built in the scope of its task."""
        if not cfg_path.startswith('mmsterf::'):
            return otherwise(cfg_path, pretrained, **kwargs)
        cfg = module.get_config(cfg_path, pretrained)
        model = otherwise(f'{cfg.default_scope}::{cfg.filename}', **kwargs)
        if pretrained:
            module.load_checkpoint(model, cfg.model_path)
            model._is_init = True  # as mmengine does, or a Runner would initialise it
        return model

    module.get_model, module._get_cfg_metainfo = get_model, cfg_metainfo
    if 'mmengine.hub' in sys.modules:
        sys.modules['mmengine.hub'].get_model = get_model


def _infer(module) -> None:
    """mmengine.infer.infer: models by name, in the inferencer of their task."""
    kind = module.BaseInferencer
    otherwise, init = kind._get_models_from_metafile, kind._init_model

    def models(folder: str):
        yield from otherwise(folder)
        from mmsterf.zoo import models_of_package

        yield from models_of_package(folder)

    def init_model(self, cfg, weights, *args, **kwargs):
        if "'mmsterf." in str(cfg):  # weights are read before the model is built, which would bring our reader
            import mmsterf.checkpoint.loading  # noqa: F401
        return init(self, cfg, weights, *args, **kwargs)

    kind._get_models_from_metafile, kind._init_model = staticmethod(models), init_model


_LESSONS = {
    'mmengine.config.utils': _utils,
    'mmengine.config.config': _config,
    'mmengine.hub.hub': _hub,
    'mmengine.infer.infer': _infer,
}
