"""Which versions of the OpenMMLab stack mmsterf runs on."""

import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

# Import name -> {distribution: (at least, below)}. The maintained onedl forks share OpenMMLab's import names.
REQUIRED = {
    'torch': {'torch': ('2.6.0', None)},
    'mmengine': {'mmengine': ('0.10.0', '1.0.0'), 'onedl-mmengine': ('0.10.0', '1.0.0')},
    'mmcv': {'mmcv': ('2.0.0', '2.2.0'), 'onedl-mmcv': ('2.3.0', '2.4.0')},
    'mmdet': {'mmdet': ('3.3.0', '3.4.0'), 'onedl-mmdetection': ('3.5.0', '3.6.0')},
    'mmseg': {'mmsegmentation': ('1.2.0', '1.3.0'), 'onedl-mmsegmentation': ('1.4.0', '1.5.0')},
    'mmpretrain': {'mmpretrain': ('1.2.0', '1.3.0'), 'onedl-mmpretrain': ('1.3.0', '1.4.0')},
    'spikingjelly': {'spikingjelly': ('2.0.0', '3.0.0')},
}


TASKS = ('mmdet', 'mmseg')
OPTIONAL = 'mmpretrain'
"""The third task: checked where it is installed, asked for by configs that need it alone."""

_IMPORTED = ('mmpretrain', 'torchvision', 'modelindex', 'mat4py', 'einops', 'importlib_metadata')


def missing_for_pretraining() -> list:
    """Packages, by import name, that mmpretrain needs in order to be imported and that are not installed."""
    return [name for name in _IMPORTED if find_spec(name) is None]


def check_versions(one_task: bool = False) -> None:
    """Check that the packages mmsterf stands on are installed, in range, and that mmcv has its operators.

    Call it before any `mmdet::...` config is read: mmengine installs a missing package by itself otherwise.

    Args:
        one_task (bool): Be content with one of mmdet, mmseg and mmpretrain.

    Raises:
        ImportError: Names every package that is missing or out of range, with the found and the wanted version, or
            says why mmcv's operators do not load.
    """
    absent = [name for name in TASKS if find_spec(name) is None]
    has_third = find_spec(OPTIONAL) is not None
    left_out = absent if one_task and (len(absent) < len(TASKS) or has_third) else []
    left_out = [*left_out, *([] if has_third else [OPTIONAL])]
    wanted = {name: families for name, families in REQUIRED.items() if name not in left_out}
    problems = [problem for name, families in wanted.items() if (problem := _problem(name, families))]
    if problems:
        raise ImportError(f'mmsterf needs {", ".join(problems)}; `make env` in a clone installs a set that fits.')
    try:
        import_module('mmcv._ext')
    except ImportError as error:
        raise ImportError(
            f'mmsterf needs the compiled operators of mmcv, and `import mmcv._ext` fails ({error}); build mmcv again '
            f'next to the installed torch {version("torch")}: MMCV_WITH_OPS=1 pip install --no-build-isolation '
            + next(name for name in REQUIRED['mmcv'] if _version(name))
        ) from error


def _problem(name: str, families: dict) -> str:
    wanted = ' or '.join(
        f'{distribution} >={low}' + (f',<{high}' if high else '') for distribution, (low, high) in families.items()
    )
    if find_spec(name) is None:
        return f'{wanted} (not installed)'
    for distribution, (low, high) in families.items():
        found = _version(distribution)
        if not found:
            continue
        if _digits(low) <= _digits(found) and (high is None or _digits(found) < _digits(high)):
            return ''
        return f'{wanted} (found {distribution} {found})'
    return f'{wanted} (found a `{name}` that none of these installed)'


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ''


def _digits(text: str) -> tuple:
    """'2.13.0+cpu' -> (2, 13, 0)."""
    return tuple(int(digits) for digits in re.findall(r'\d+', text.split('+')[0])[:3])
