"""Windows of event recordings through ordinary configs: training, hooks, tests and pictures, in both tasks."""

import json
import runpy
import sys
from unittest import mock

import cv2
import numpy as np
import pytest
import torch
from event_tasks import HEIGHT, ROOT, WIDTH, write_config, write_events
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from tiny_tasks import run_tool

from mmsterf.engine import cli

pytest.importorskip('evio')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Recordings and both configs."""
    found = tmp_path_factory.mktemp('events')
    write_events(found)
    return found


@pytest.fixture(autouse=True)
def _on_cpu(monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.setenv('LOCAL_RANK', '0')
    torch.set_num_threads(1)
    with mock.patch('mmengine.runner.runner.collect_env', dict):  # takes seconds
        yield


def tool(name, *args):
    """Run a tool by its main()."""
    with mock.patch.object(sys, 'argv', [name, *map(str, args)]):
        runpy.run_path(str(ROOT / f'tools/analysis_tools/{name}.py'), run_name='__main__')


@pytest.fixture(scope='module')
def detector(folder):
    """Config and checkpoint of a detector, and its runner, trained with mixed precision."""
    config, work = write_config(folder, 'detection'), folder / 'work'
    torch.set_num_threads(1)
    runner = cli.train([str(config), '--work-dir', str(work), '--amp'])
    return config, work / 'epoch_1.pth', runner


def test_a_detector_learns_from_windows(detector):
    config, checkpoint, runner = detector
    work = checkpoint.parent
    lines = [json.loads(line) for line in next(work.rglob('scalars.json')).read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert len(losses) == 2 and np.isfinite(losses).all()
    rates = [line['firing_rate/mean'] for line in lines if 'firing_rate/mean' in line]
    assert rates and all(0 < rate < 1 for rate in rates)
    # Of the field over delays there are pictures too: the data had steps.
    names = {path.stem.rpartition('_')[0] for path in work.rglob('st_erf*.png')}
    assert names >= {'st_erf', 'st_erf_delays', 'st_erf_temporal'}
    items = runner.val_dataloader.dataset
    windows = [items[i]['inputs'].sum(0) for i in range(2)]
    assert windows[0].shape == (HEIGHT, WIDTH)
    # The second window of a recording holds what came later: the square has moved on.
    centres = [(window.sum(0) * torch.arange(WIDTH)).sum() / window.sum() for window in windows]
    assert 5 < centres[1] - centres[0] < 25
    # What tools do for themselves is not in what they save.
    saved = Config.fromfile(work / config.name)
    assert saved.default_hooks.visualization.type == 'DetVisualizationHook'


def test_a_detector_is_tested_and_drawn(detector, tmp_path):
    config, checkpoint, _ = detector
    pictures = tmp_path / 'pictures'

    def test(*options):
        return cli.test([str(config), str(checkpoint), '--work-dir', str(tmp_path / 'work'), *map(str, options)])

    plain, driven = test('--show-dir', pictures), test('--fold', '--spike-driven')
    assert plain.keys() == driven.keys() and plain['coco/bbox_mAP'] == pytest.approx(driven['coco/bbox_mAP'], abs=0.02)
    assert test('--tta').keys() == plain.keys()
    assert sorted(path.name for path in pictures.iterdir()) == [
        f'{i}_{end}.png' for i in range(4) for end in (200_000, 400_000)
    ]
    drawn = cv2.imread(str(pictures / '0_200000.png')).astype(int)
    assert drawn.shape == (HEIGHT, 2 * WIDTH, 3)  # truth and predictions
    truth = drawn[:, :WIDTH]
    blue, red, white = truth[..., 0] - truth[..., 2] > 60, truth[..., 2] - truth[..., 0] > 60, truth.min(-1) > 250
    assert blue.sum() > 30 and red.sum() > 30 and white.mean() > 0.5


def test_analysis_of_a_detector(detector, tmp_path, capsys):
    config, checkpoint, _ = detector
    tool('get_energy', config, checkpoint, '--input', 'dataset', '--num', 2, '--out', tmp_path / 'energy')
    energy = json.loads((tmp_path / 'energy/energy.json').read_text())
    layers = {row['layer']: row for row in energy['layers']}
    assert layers['backbone.stem.conv']['inputs'] == 'analog' and energy['total']['acs'] > 0
    layer = 'backbone.stage1b.0'
    tool('st_erf', config, checkpoint, '--input', 'dataset', '--num', 2, '--layers', layer, '--out', tmp_path / 'erf')
    maps = np.load(next((tmp_path / 'erf').rglob('*.npz')))[f'mean/{layer}']
    assert maps.shape == (2, HEIGHT, WIDTH) and maps.sum() > 0
    # Events and predictions as a video of their own.
    for name in ('a.gif', 'a.mp4'):
        out = tmp_path / name
        recording = config.parent / 'rec/0.dat'
        tool('draw_events', recording, config, checkpoint, '--score', 0, '--step', 0.2, '--out', out)
        assert out.stat().st_size > 1000
    assert '1 pictures of 200 ms, every 200 ms, played at 4 times real time; 4000 events' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='ends after 0'):
        tool('draw_events', recording, '--start', 3, '--out', tmp_path / 'b.gif')
    with pytest.raises(SystemExit, match=r'must end in \.gif or \.mp4'):
        tool('draw_events', recording, '--out', tmp_path / 'b.png')


def test_a_segmentor_in_two_processes_and_resumed(folder, tmp_path):
    config = write_config(folder, 'segmentation')
    whole, halves, two = (tmp_path / name for name in ('whole', 'halves', 'two'))

    def train(work, iterations, *options):
        settings = ['--cfg-options', 'randomness.seed=3', f'train_cfg.max_iters={iterations}']
        cli.train([str(config), '--work-dir', str(work), *options, *settings])

    train(whole, 4)
    train(halves, 2)
    train(halves, 4, '--resume')
    expected, found = (torch.load(path / 'iter_4.pth', weights_only=True)['state_dict'] for path in (whole, halves))
    assert expected.keys() == found.keys() and all(torch.equal(found[key], expected[key]) for key in found)
    run_tool('train', config, '--work-dir', two, '--cfg-options', 'randomness.seed=3', folder=tmp_path, processes=2)
    shared = torch.load(two / 'iter_4.pth', weights_only=True)['state_dict']
    assert any(not torch.equal(shared[key], expected[key]) for key in expected)

    def test(*options):
        name = f'test{len(list(tmp_path.iterdir()))}'
        args = [str(config), str(whole / 'iter_4.pth'), '--work-dir', str(tmp_path / name), *map(str, options)]
        return cli.test(args)

    maps = tmp_path / 'maps'
    alone = test('--out', maps, '--show-dir', tmp_path / 'pictures')
    assert test('--tta').keys() == alone.keys()
    drawn = sorted((tmp_path / 'pictures').iterdir())
    assert len(drawn) == 8 and [path.name for path in drawn[::2]] == [f'{i}_200000.png' for i in range(4)]
    assert all(cv2.imread(str(path)).shape == (HEIGHT, 2 * WIDTH, 3) for path in drawn)
    with pytest.raises(SystemExit, match="mmseg's EncoderDecoder cannot take in windows"):
        test('--cfg-options', 'model.test_cfg.mode=slide', 'model.type=EncoderDecoder')


def test_sliding_windows_over_sequences(folder):
    cfg = Config.fromfile(write_config(folder, 'segmentation'))
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model).eval()
    for module in model.modules():  # so that neurons fire
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(0.1)
    x, shape = 3 * torch.rand(2, 1, 2, HEIGHT, WIDTH), (HEIGHT, WIDTH)

    def logits(x, **test_cfg):
        model.test_cfg = Config(dict(mode='slide', **test_cfg) if test_cfg else dict(mode='whole'))
        with torch.no_grad():
            return model.inference(x, [dict(ori_shape=shape, img_shape=tuple(x.shape[-2:]))])

    whole = logits(x)
    assert whole.shape == (1, 2, *shape) and whole.std() > 0
    assert torch.equal(logits(x, crop_size=shape, stride=shape), whole)
    halves = logits(x, crop_size=(HEIGHT, WIDTH // 2), stride=(HEIGHT, WIDTH // 2))
    assert torch.equal(halves, torch.cat([logits(half) for half in x.chunk(2, -1)], -1))


@pytest.mark.parametrize('layout, channels', [('channels', 4), ('sum', 2)])
def test_stock_backbones_get_sequences_folded_or_summed(folder, layout, channels):
    cfg = Config.fromfile(write_config(folder, 'segmentation'))
    cfg.model.type = 'EncoderDecoder'
    cfg.model.data_preprocessor.layout = layout
    backbone = dict(type='ResNetV1c', depth=18, in_channels=channels, num_stages=4, out_indices=(0, 1, 2, 3),
                    base_channels=8, norm_cfg=dict(type='BN'))  # fmt: skip
    cfg.model.backbone = backbone
    cfg.model.neck = dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=8, num_outs=4)
    cfg.model.decode_head = dict(type='FPNHead', in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=2,
                                 feature_strides=[4, 8, 16, 32], norm_cfg=dict(type='BN'))  # fmt: skip
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import DATASETS

    from mmsterf.engine.sequences import check_sequences

    check_sequences(cfg)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model, dataset = MODELS.build(cfg.model), DATASETS.build(cfg.train_dataloader.dataset)
    raw = pseudo_collate([dataset[0], dataset[1]])
    data = model.data_preprocessor(raw, True)
    assert data['inputs'].shape == (2, channels, 48, 64)
    loss = model(**data, mode='loss')['decode.loss_ce']
    loss.backward()
    assert torch.isfinite(loss) and model.backbone.stem[0].weight.grad.abs().sum() > 0
