"""Pictures as models see them: every data preprocessor of mmdet and mmseg, sizes of test pipelines, clips of videos."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

import mmsterf.registry  # noqa: F401  makes the types of mmdet and mmseg known
from mmsterf.analysis.loading import inputs_of
from mmsterf.engine.image_files import read_image

MEAN, STD = [120.0, 110.0, 100.0], [50.0, 60.0, 70.0]
NORM = {'mean': MEAN, 'std': STD, 'bgr_to_rgb': True}
PREPROCESSORS = {
    'det': {'type': 'mmdet.DetDataPreprocessor', **NORM, 'pad_mask': True, 'pad_size_divisor': 4},
    'branches': {
        'type': 'mmdet.MultiBranchDataPreprocessor',
        'data_preprocessor': {'type': 'mmdet.DetDataPreprocessor', **NORM},
    },
    'track': {'type': 'mmdet.TrackDataPreprocessor', **NORM},
    'reid': {'type': 'mmdet.ReIDDataPreprocessor', 'mean': MEAN, 'std': STD, 'to_rgb': True},
    'seg': {'type': 'mmseg.SegDataPreProcessor', **NORM, 'size': (64, 64)},
    'grey': {'type': 'mmdet.DetDataPreprocessor', 'mean': [100.0], 'std': [50.0], 'bgr_to_rgb': True},
    'stated': None,
    'none': None,
}


class Model(nn.Module):
    def __init__(self, preprocessor):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        with DefaultScope.overwrite_default_scope('mmdet'):
            self.data_preprocessor = MODELS.build(preprocessor or {'type': 'mmengine.BaseDataPreprocessor'})

    def forward(self, x):
        return x


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    for name, shape in (('colour.png', (12, 16, 3)), ('grey.png', (12, 16))):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, shape, dtype=np.uint8))
    cv2.imwrite(str(tmp_path / 'deep.png'), rng.integers(0, 65536, (12, 16, 3), dtype=np.uint16))
    return tmp_path


@pytest.mark.parametrize('kind', PREPROCESSORS)
def test_every_preprocessor_normalises(files, kind):
    cfg = Config({'data_preprocessor': {'type': 'mmseg.SegDataPreProcessor', **NORM}} if kind == 'stated' else {})
    inputs = inputs_of(cfg, Model(PREPROCESSORS[kind]), [str(files)], 20, None, 0)
    assert len(inputs) == 3
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    if kind == 'none':
        mean, std = (torch.tensor(v)[:, None, None] for v in ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))
    for name, found in zip(('colour.png', 'deep.png', 'grey.png'), inputs):
        rgb = torch.from_numpy(read_image(files / name).pixels[..., ::-1].copy()).permute(2, 0, 1).double()
        expected = (rgb - mean) / std
        if kind == 'grey':
            expected = (rgb * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True) / 50 - 2
        torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
    said = inputs.said()
    assert said[-2:] == [
        'converted to 8-bit BGR: deep.png (16-bit colour)',
        'converted to 8-bit BGR: grey.png (grey)',
    ]
    assert ('has no data_preprocessor: images are normalised by those of ImageNet' in said[0]) == (kind == 'none')


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'track'])
def test_sizes_are_those_of_the_test_pipeline(files, scope):
    resize = {'type': 'Resize', 'scale': (32, 32), 'keep_ratio': True}
    steps = [{'type': 'LoadImageFromFile'}, resize, {'type': 'LoadAnnotations'}, {'type': 'PackInputs'}]
    if scope == 'track':
        steps = [{'type': 'TransformBroadcaster', 'transforms': steps[:3]}, {'type': 'PackTrackInputs'}]
    dataset = {'type': 'RepeatDataset', 'dataset': {'type': 'Any', 'pipeline': steps}}
    cfg = Config({'default_scope': scope.replace('track', 'mmdet'), 'test_dataloader': {'dataset': dataset}})
    model = Model(PREPROCESSORS['track' if scope == 'track' else 'det'])
    assert [tuple(x.shape) for x in inputs_of(cfg, model, [str(files)], 2, None, 0)] == [(3, 24, 32)] * 2
    assert tuple(inputs_of(cfg, model, [str(files)], 1, (8, 40), 0)[0].shape) == (3, 8, 40)


def test_frames_of_a_video_are_time_steps(files):
    writer = cv2.VideoWriter(str(files / 'clip.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (16, 12))
    for i in range(8):
        writer.write(np.full((12, 16, 3), 20 * i, np.uint8))
    writer.release()
    model = Model({'type': 'mmdet.DetDataPreprocessor', 'mean': [0.0] * 3, 'std': [20.0] * 3})
    clips = inputs_of(Config(), model, [str(files / 'clip.avi')], 2, None, 0, time_steps=3, input_time='sequence')
    assert [clip.mean((1, 2, 3)).round().tolist() for clip in clips] == [[0, 1, 2], [3, 4, 5]]
    frames = inputs_of(Config(), model, [str(files / 'clip.avi')], 2, None, 0, time_steps=3, input_time='image')
    assert [tuple(frame.shape) for frame in frames] == [(3, 12, 16)] * 2
