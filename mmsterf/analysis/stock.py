"""What of a config's model an analysis builds: the detector of a tracker, the student, and no weights from anywhere."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Optional
from unittest import mock

import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmsterf.engine.device import notice, replace_sync_bn
from mmsterf.errors import InvalidInput, sentence, shortened

_FROM_OUTSIDE = ('Pretrained', 'Pretrained_Part')
_PACKAGES = {'VPD': 'ldm', 'Detectron2Wrapper': 'detectron2', 'BertModel': 'transformers'}  # not in their messages
_WANTED = ('install', 'No module named')


class ImageFeatures(BaseModel):
    """Backbone and neck alone, of a model whose other parts cannot be had.

    Args:
        backbone, neck, data_preprocessor: Configs.
        whose: What the features belong to, and why the rest is left out.
    """

    def __init__(self, backbone: dict, neck: Optional[dict], data_preprocessor: Optional[dict], whose: str) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone, self.whose = MODELS.build(backbone), whose
        self.neck = None if neck is None else MODELS.build(neck)

    def extract_feat(self, x: Tensor):
        """Run backbone and neck."""
        x = self.backbone(x)
        return x if self.neck is None else self.neck(x)

    def forward(self, inputs: Tensor, data_samples=None, mode: str = 'tensor'):
        """Return the features."""
        return self.extract_feat(inputs)


def build(cfg: dict, random: bool = True, named: bool = False) -> nn.Module:
    """Build what is analysed of a model, on CPU; in the default scope of its config.

    Args:
        cfg: Of the whole model; unless `named`, what names weights is taken out in place.
        random: Draw random weights, as for training.
        named: Load the weights that the config names, which may be a download.

    Raises:
        InvalidInput: If a package is missing, weights cannot be loaded, or code wants weights that nobody gave.
    """
    names = list(weights_named(cfg)) if named else []
    if not named:
        without_weights(cfg)
    replace_sync_bn(cfg)  # has no CPU kernel, and is BN in an analysis
    try:
        with nullcontext() if named else no_downloads(), _unset_is_nan():
            images = _images_only(cfg)
            model = MODELS.build(cfg) if images is None else images
            if random and hasattr(model, 'init_weights'):
                _initialise(model)
    except Exception as error:
        if explained := _explained(cfg, error):
            raise explained from error
        if names:
            raise not_loaded(names, error) from error
        raise
    return revert_sync_batchnorm(model)


def not_loaded(names: Sequence[str], error: Exception) -> InvalidInput:
    """Return what to say of weights that a config names, and that cannot be loaded."""
    reason = sentence(error) or f'{type(error).__name__}: {error}'
    return InvalidInput(
        f'weights that the config names, {", ".join(names)}, cannot be loaded ({shortened(reason, 300)}): give a '
        'checkpoint file, or take random ones'
    )


@contextmanager
def _unset_is_nan() -> Iterator[None]:
    """Make parameters that no code initialises NaN, not what was in memory."""
    was = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was[0], warn_only=was[1])
        torch.utils.deterministic.fill_uninitialized_memory = filled


def _initialise(model: nn.Module) -> None:
    """Draw random weights; those that the model leaves to a checkpoint (SAN's text encoder), too."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # a line per parameter otherwise
    try:
        # a part of SAN's head calls `super().init_weights()` of a plain module when there is no checkpoint
        plain = mock.patch.object(nn.Module, 'init_weights', lambda self: None, create=True)
        with plain if type(model).__name__ == 'MultimodalEncoderDecoder' else nullcontext():
            model.init_weights()
    finally:
        logger.setLevel(level)
    unset = [name for name, p in model.named_parameters() if p.isnan().any()]
    for name in unset:
        nn.init.normal_(model.get_parameter(name), std=0.02)
    if unset:
        shown = ', '.join(unset[:3]) + ', ...' * (len(unset) > 3)
        notice(f'{len(unset)} parameters that the model leaves to a checkpoint are random: {shown}')


def fill_caches(model: nn.Module) -> None:
    """Run the text encoders that keep what they gave (SAN's): it depends on weights alone, and takes minutes on CPUs.

    Each analysis leaves a model as found, and would run them for every input.
    """
    for module in model.modules():
        if getattr(module, 'cache_feature', False) and getattr(module, 'cache', None) == {}:
            notice(f'the {type(module).__name__} encodes its classes once, which takes minutes on a CPU')
            with torch.no_grad():
                module()


def part_of(cfg: dict) -> tuple[dict, str]:
    """Return the config of what is analysed of a model, and the prefix of its weights in checkpoints of the whole.

    Trackers stand for their detector, semi-supervised wrappers for the student, and knowledge distillation for the
    student, too; that is said in a line.
    """
    names = _names(cfg)
    inner = cfg.get('detector')
    if inner is not None and {'BaseMOTModel', 'SemiBaseDetector'} & names:
        inner.setdefault('data_preprocessor', _of_images(cfg.get('data_preprocessor')))
        student = 'SemiBaseDetector' in names
        notice(f'{_name(cfg)}: its {"student" if student else "detector"}, {_name(inner)}, is analysed')
        return inner, 'student.' if student else 'detector.'
    if 'KnowledgeDistillationSingleStageDetector' in names:
        notice(f'{_name(cfg)}: the student is analysed, the teacher is not built')
        for key in [k for k in cfg if k.startswith('teacher_') or k == 'eval_teacher']:
            cfg.pop(key)
        cfg['type'] = 'mmdet.SingleStageDetector'
    return cfg, ''


def weights_named(cfg) -> Iterator[str]:
    """Yield the files and addresses of weights that a model config names."""
    if isinstance(cfg, dict):
        for key in ('pretrained', 'checkpoint_path'):
            if cfg.get(key):
                yield str(cfg[key]) if cfg[key] is not True else f'{key}=True of {_name(cfg)}'
        init = cfg.get('init_cfg')
        for given in init if isinstance(init, (list, tuple)) else [init]:
            if isinstance(given, dict) and _loads(given) and given.get('checkpoint'):
                yield str(given['checkpoint'])
        cfg = [value for key, value in cfg.items() if key != 'init_cfg']
    if isinstance(cfg, (list, tuple)):
        for value in cfg:
            yield from weights_named(value)


def without_weights(cfg) -> None:
    """Take out everything below a model config that names weights to load, in place."""
    if isinstance(cfg, dict):
        if cfg.get('pretrained') is not None:
            cfg['pretrained'] = False if isinstance(cfg['pretrained'], bool) else None
        if cfg.get('checkpoint_path'):
            cfg['checkpoint_path'] = ''
        if cfg.get('teacher_ckpt') is not None:
            cfg['teacher_ckpt'] = None
        init = cfg.get('init_cfg')
        if isinstance(init, dict) and _loads(init):
            cfg['init_cfg'] = None
        elif isinstance(init, (list, tuple)):
            cfg['init_cfg'] = [i for i in init if not _loads(i)] or None
        cfg = list(cfg.values())
    if isinstance(cfg, (list, tuple)):
        for value in cfg:
            without_weights(value)


def _loads(init: Mapping) -> bool:
    kind = init.get('type')
    return 'checkpoint' in init or getattr(kind, '__name__', kind) in _FROM_OUTSIDE


@contextmanager
def no_downloads() -> Iterator[None]:
    """Let code load weights from files only, whatever it asks for."""
    from mmengine.runner.checkpoint import CheckpointLoader

    load = CheckpointLoader.load_checkpoint.__func__

    def from_file(cls, filename, *args, **kwargs):
        if not Path(str(filename)).is_file():
            raise InvalidInput(f'the model asks for weights of {filename}, which is no file: nothing is downloaded')
        return load(cls, filename, *args, **kwargs)

    def refuse(url, *args, **kwargs):
        raise InvalidInput(f'the model asks for {url}: nothing is downloaded')

    with (
        mock.patch.object(CheckpointLoader, 'load_checkpoint', classmethod(from_file)),
        mock.patch.object(torch.hub, 'download_url_to_file', refuse),
    ):
        yield


def _images_only(cfg: dict) -> Optional[ImageFeatures]:
    """Return backbone and neck of a model whose heads cannot be had; None for all others."""
    if not isinstance(cfg.get('backbone'), dict):
        return None
    if cfg.get('language_model') is not None:
        why = 'its heads need text and a language model, which is a download'
    elif 'BaseMOTModel' in _names(cfg):
        why = 'its heads need videos'
    else:
        return None
    notice(f'{_name(cfg)}: its backbone and neck alone are analysed; {why}')
    preprocessor = _of_images(cfg.get('data_preprocessor'))
    return ImageFeatures(cfg['backbone'], cfg.get('neck'), preprocessor, f'{_name(cfg)}: {why}')


def _of_images(preprocessor: Optional[dict]) -> Optional[dict]:
    """Return a data preprocessor for single images in place of one for videos or for several branches."""
    while preprocessor is not None and isinstance(preprocessor.get('data_preprocessor'), dict):
        preprocessor = preprocessor['data_preprocessor']
    if preprocessor is not None and _name(preprocessor).endswith('TrackDataPreprocessor'):
        preprocessor = {k: v for k, v in preprocessor.items() if k != 'use_det_processor'}
        preprocessor['type'] = 'mmdet.DetDataPreprocessor'
    return preprocessor


def _names(cfg: dict) -> set:
    """Names of the class of a config and of its bases; empty where it is not to be found."""
    kind = cfg.get('type')
    if isinstance(kind, str):
        with MODELS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    return {base.__name__ for base in getattr(kind, '__mro__', ())}


def _name(cfg: dict) -> str:
    kind = cfg.get('type')
    return str(getattr(kind, '__name__', kind))


def _explained(cfg: dict, error: Exception) -> Optional[InvalidInput]:
    """What a model lacks, where its code says so; None for other errors."""
    if not isinstance(error, (AssertionError, ImportError, KeyError, RuntimeError)):
        return None
    text = str(error.args[0] if error.args else error).strip()
    missing = next((p for kind, p in _PACKAGES.items() if kind in _types(cfg)), None)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return InvalidInput(f'{_name(cfg)} needs the package {error.name}, which is not installed')
    if isinstance(error, KeyError):
        scope, dot, _ = text.split(' is not in the ')[0].partition('.')
        if ' is not in the ' not in text:
            return None
        why = f': the package {scope} may not be installed' if dot else ''
        return InvalidInput(f'{_name(cfg)}: {text.split(" registry.")[0]} registry{why}')
    if any(word in text for word in _WANTED):
        package = f'{_name(cfg)} needs the package {missing}: ' if missing else f'{_name(cfg)}: '
        return InvalidInput(package + text)
    return None


def _types(cfg) -> set:
    if isinstance(cfg, dict):
        return {_name(cfg)}.union(*map(_types, cfg.values()))
    return set().union(*map(_types, cfg)) if isinstance(cfg, (list, tuple)) else set()
