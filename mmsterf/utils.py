"""Where OpenMMLab's own code looks for `register_all_modules`."""

from importlib import import_module
from importlib.util import find_spec


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import all of mmsterf, and of the packages of its tasks that are installed, into mmengine's registries.

    Args:
        init_default_scope (bool): Has no effect: configs of mmsterf are written in the scope of their task ('mmdet',
            'mmseg' or 'mmpretrain'), and name what is of mmsterf with the prefix. mmengine passes it to every package.
    """
    from mmsterf import registry
    from mmsterf.versions import missing_for_pretraining

    for package in ('mmdet', 'mmseg', 'mmpretrain'):
        if find_spec(package) and (package != 'mmpretrain' or not missing_for_pretraining()):
            import_module(f'{package}.utils').register_all_modules(init_default_scope=False)
    for location in (name for names in registry.LOCATIONS.values() for name in names):
        import_module(location)
