"""Whole detectors and segmentors from binary spikes: the same boxes and label maps; tools/test.py --spike-driven."""

from unittest import mock

import cv2
import pytest
import torch
from mmdet.structures import DetDataSample
from tiny_tasks import IMAGES, write_task
from torch import nn

from mmsterf.analysis.loading import load_model
from mmsterf.engine.cli import test as run_test
from mmsterf.snn.spike_driven import is_spike_driven, spike_driven

NECK = 'dict(in_channels=[8, 8, 16, 16], out_channels=8'
HEADS = """
model['rpn_head'].update(type='mmsterf.SpikingRPNHead')
model['roi_head']['bbox_head'].update(type='mmsterf.SpikingShared2FCBBoxHead')
"""


SPIKING_PREDICTORS = """
for name in ('cls', 'reg'):
    model['roi_head']['bbox_head'][name + '_predictor_cfg'] = dict(type='mmsterf.SpikeLinear')
"""


def spiking_task(folder, task, more=''):
    """Config with a spiking neck and heads, and a model of random weights whose neurons fire."""
    config = write_task(folder, task)
    text = config.read_text()
    assert NECK in text
    text = text.replace(NECK, f"{NECK}, conv_cfg=dict(type='mmsterf.SpikeConv2d'), act_cfg=None")
    config.write_text(text + (HEADS if task == 'detection' else '') + more)
    model = load_model(str(config), None)[1]
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(0.1)
    return config, model


@pytest.mark.parametrize('more', ['', SPIKING_PREDICTORS], ids=['as_published', 'spiking_predictors'])
def test_boxes(tmp_path, more):
    model = spiking_task(tmp_path, 'detection', more)[1]  # mmcv's NMS takes float32 alone
    sample = DetDataSample(metainfo={'img_shape': (48, 64), 'ori_shape': (48, 64), 'scale_factor': (1.0, 1.0)})
    sample.set_metainfo({'batch_input_shape': (48, 64)})
    x = torch.randn(2, 3, 48, 64)
    with torch.no_grad():
        expected = [s.pred_instances for s in model.predict(x, [sample.clone() for _ in x])]
        with spike_driven(model) as inputs:
            found = [s.pred_instances for s in model.predict(x, [sample.clone() for _ in x])]
    for a, b in zip(found, expected):
        assert len(b) > 10 and torch.equal(a.labels, b.labels)
        torch.testing.assert_close(a.bboxes, b.bboxes, rtol=0, atol=1e-4)
        torch.testing.assert_close(a.scores, b.scores, rtol=0, atol=1e-4)
    others = {name for name, kinds in inputs.items() if not is_spike_driven(kinds)}
    predictors = {'roi_head.bbox_head.fc_cls', 'roi_head.bbox_head.fc_reg'}
    assert others == {'backbone.stem.conv'} | (set() if more else predictors)
    assert {*predictors, 'rpn_head.rpn_cls', 'roi_head.bbox_head.shared_fcs.1', 'neck.fpn_convs.0.conv'} < set(inputs)


def test_label_maps_of_the_tool(tmp_path, capfd, monkeypatch):
    config, model = spiking_task(tmp_path, 'segmentation')
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'random.pth')
    monkeypatch.setenv('LOCAL_RANK', '0')
    found = []
    for flag in ([], ['--spike-driven']):
        out = tmp_path / f'out{len(flag)}'
        args = [str(config), str(tmp_path / 'random.pth'), '--work-dir', f'{out}_log', '--out', str(out), *flag]
        with mock.patch('mmengine.runner.runner.collect_env', dict):  # takes seconds
            run_test(args)
        printed = ''.join(capfd.readouterr())
        assert ('--spike-driven:' in printed) == bool(flag)
        found.append([torch.as_tensor(cv2.imread(str(file), -1)) for file in sorted(out.glob('*.png'))])
    assert 'backbone.stem.conv (analog)' in printed and 'neck.lateral_convs.0.conv' not in printed
    assert len(found[0]) == len(found[1]) == IMAGES
    assert len(torch.stack(found[0]).unique()) > 1
    assert all(torch.equal(a, b) for a, b in zip(*found))
