"""Whether what loads sequences, the data preprocessor and the backbone of a config agree on time steps and channels."""

from collections.abc import Iterator
from typing import Optional

from mmengine.config import Config

from mmsterf.errors import InvalidInput

from .dataset_parts import SPLITS, dataset_leaves

PREPROCESSORS = ('SequenceDetDataPreprocessor', 'SequenceSegDataPreprocessor')


def check_sequences(cfg: Config) -> None:
    """Refuse a config whose pipelines load other sequences than its model takes; others pass.

    Raises:
        InvalidInput: Names both, with their numbers.
    """
    preprocessor = (cfg.get('model') or {}).get('data_preprocessor') or {}
    backbone = (cfg.get('model') or {}).get('backbone') or {}
    kind = str(preprocessor.get('type')).rpartition('.')[2]
    for where, step in _loading_steps(cfg):
        steps, channels = step.get('time_steps'), _channels(step)
        if not isinstance(steps, int) or channels is None or cfg.get('default_scope') == 'mmpretrain':
            continue
        if kind not in PREPROCESSORS:
            task = 'Seg' if cfg.get('default_scope') == 'mmseg' else 'Det'
            raise InvalidInput(
                f'{where} loads {steps} time steps, and model.data_preprocessor is {kind}: it must be '
                f'mmsterf.Sequence{task}DataPreprocessor'
            )
        if preprocessor.get('time_steps') != steps:
            raise InvalidInput(
                f'{where} loads {steps} time steps, and model.data_preprocessor.time_steps is '
                f'{preprocessor.get("time_steps")}: they must be the same'
            )
        layout = preprocessor.get('layout', 'steps')
        slides = (cfg.model.get('test_cfg') or {}).get('mode') == 'slide'
        if slides and layout == 'steps' and str(cfg.model.get('type')).rpartition('.')[2] == 'EncoderDecoder':
            raise InvalidInput(
                f"{where} loads {steps} time steps, which mmseg's EncoderDecoder cannot take in windows "
                "(model.test_cfg.mode='slide'): take model.type='mmsterf.SequenceEncoderDecoder'"
            )
        of_model = backbone.get('time_steps')
        if layout == 'steps' and of_model is not None and of_model != steps:
            raise InvalidInput(
                f'{where} loads {steps} time steps, and model.backbone.time_steps is {of_model}: they must be the same'
            )
        expected = steps * channels if layout == 'channels' else channels
        found = backbone.get('in_channels', 3)
        if isinstance(found, int) and found != expected:
            raise InvalidInput(
                f'{where} loads {steps} time steps of {channels} channels, of which layout={layout!r} of the data '
                f'preprocessor makes {expected}, and model.backbone.in_channels is {found}: they must be the same'
            )


def _channels(step: dict) -> Optional[int]:
    if str(step['type']).endswith('LoadSequence'):
        return 3
    bins = step.get('bins', 1)
    return bins * (1 if step.get('signed') else 2) if isinstance(bins, int) else None


def _loading_steps(cfg: Config) -> Iterator[tuple]:
    """Names and configs of the steps that load sequences."""
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        for leaf in dataset_leaves(loader['dataset']) if isinstance(loader, dict) and loader.get('dataset') else ():
            for step in leaf.get('pipeline') or ():
                if isinstance(step, dict) and str(step.get('type')).endswith(('LoadEvents', 'LoadSequence')):
                    yield f'{step["type"]} of {split}_dataloader', step
