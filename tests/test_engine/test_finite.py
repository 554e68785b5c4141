"""Losses, weights and arguments that are not finite: said, and stopped, before anything is lost."""

import sys
from pathlib import Path

import pytest
import torch

from mmsterf.errors import InvalidInput
from mmsterf.models import MetaSDT, QKFormer, Spikformer
from mmsterf.models.mixers import SRB, ConvMixer, MLPixer
from mmsterf.ranges import check_count, check_number
from mmsterf.snn import build_neuron

sys.path.insert(0, str(Path(__file__).parents[1] / 'test_tools'))
from tiny_tasks import run_tool, write_task

NAN = float('nan')
SMALL = dict(arch=dict(embed_dims=(8, 8, 16, 16)))


@pytest.fixture(scope='module')
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp('finite')
    return folder, write_task(folder, 'segmentation')


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_a_huge_rate_stops_with_the_iteration_the_losses_and_the_layer(task):
    folder, config = task
    options = ['optim_wrapper.optimizer.lr=1e30', 'default_hooks.checkpoint.interval=1', 'param_scheduler=None']
    text = run_tool('train', config, '--work-dir', folder / 'huge', '--cfg-options', *options, folder=folder, expect=1)
    line = last_line(text)
    assert line.startswith('error: iteration 2: ') and 'Traceback' not in text
    assert 'loss' in line and 'not finite' in line and 'first layer' in line and 'iter_1.pth is kept' in line
    assert [path.name for path in (folder / 'huge').glob('*.pth')] == ['iter_1.pth']
    state = torch.load(folder / 'huge/iter_1.pth', weights_only=True, map_location='cpu')['state_dict']
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())


def test_weights_that_are_not_finite_are_not_saved(task):
    folder, config = task
    hook = "dict(type='PoisonHook')"
    poisoned = folder / 'poisoned.py'
    (folder / 'poison_hook.py').write_text(
        'from mmengine.hooks import Hook\n'
        'from mmengine.registry import HOOKS\n'
        '@HOOKS.register_module()\n'
        'class PoisonHook(Hook):\n'
        '    def after_train_iter(self, runner, *args, **kwargs):\n'
        '        if runner.iter == 1:\n'
        "            next(iter(runner.model.backbone.stem.parameters())).data.fill_(float('nan'))\n"
    )
    poisoned.write_text(
        f"_base_ = '{config.name}'\n"
        "custom_imports = dict(imports=['poison_hook'])\n"
        f'custom_hooks = [{hook}]\n'
        'default_hooks = dict(checkpoint=dict(interval=1))\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        options = ['train_cfg.val_interval=10']
        for name, interval in (('saving', 1), ('not_saving', 3)):
            text = run_tool(
                'train', poisoned, '--work-dir', folder / name, '--cfg-options', *options,
                f'default_hooks.checkpoint.interval={interval}', folder=folder, expect=1,
            )  # fmt: skip
            line = last_line(text)
            assert 'backbone.stem.conv.weight' in line and 'not finite' in line and 'Traceback' not in text
            if name == 'saving':
                assert line.startswith('error: iteration 2: ') and 'iter_1.pth is kept' in line
            else:
                assert line.startswith('error: iteration 3: ') and 'no checkpoint was written' in line
    assert [path.name for path in (folder / 'saving').glob('*.pth')] == ['iter_1.pth']


def test_standard_deviation_of_zero_is_refused(task):
    folder, config = task
    options = ['model.data_preprocessor.std=[0,1,1]']
    text = run_tool('train', config, '--cfg-options', *options, folder=folder, expect=1)
    assert last_line(text).startswith('error: std of model.data_preprocessor must be above 0, got [0, 1, 1]')


@pytest.mark.parametrize('build, sentence', [
    (lambda: build_neuron(dict(type='LIF', tau=NAN)), 'tau of LIF must be at least 1, got nan'),
    (lambda: build_neuron(dict(type='PLIF', tau=NAN)), 'tau of PLIF must be above 1, got nan'),
    (lambda: build_neuron(dict(type='ILIF', tau=NAN)), 'tau of ILIF must be at least 1, got nan'),
    (lambda: build_neuron(dict(type='ILIF', max_count=0)), 'max_count of ILIF must be a positive integer, got 0'),
    (lambda: build_neuron(dict(type='LIF', time_steps=0)), 'time_steps of LIF must be a positive integer, got 0'),
    (lambda: build_neuron(dict(type='IF', v_threshold=NAN)), 'v_threshold of IF must be above 0, got nan'),
    (lambda: build_neuron(dict(type='LIF', v_reset=NAN)), 'v_reset of LIF must be a finite number, got nan'),
    (lambda: build_neuron(dict(type='LIF', surrogate=dict(type='ATan', alpha=NAN))),
     'alpha of the surrogate ATan must be above 0, got nan'),
    (lambda: MetaSDT(**SMALL, drop_path_rate=2), 'drop_path_rate must be at least 0 and below 1, got 2'),
    (lambda: MetaSDT(**SMALL, drop_path_rate=NAN), 'drop_path_rate must be at least 0 and below 1, got nan'),
    (lambda: MetaSDT(**SMALL, residual_gain=NAN), 'residual_gain must be a finite number, got nan'),
    (lambda: MetaSDT(**SMALL, mlp_ratio=0), 'mlp_ratio of ConvMixer must be at least .*, got 0'),
    (lambda: MetaSDT(**SMALL, time_steps=0), 'time_steps of MetaSDT must be a positive integer, got 0'),
    (lambda: MetaSDT(**SMALL, in_channels=0), 'in_channels of MetaSDT must be a positive integer, got 0'),
    (lambda: MetaSDT(dict(embed_dims=(8, 8, 16, -16))), 'all positive'),
    (lambda: Spikformer(64, 0, num_heads=8), 'depth of Spikformer must be a positive integer, got 0'),
    (lambda: Spikformer(64, 1, num_heads=0), 'num_heads of SSA must be a positive integer, got 0'),
    (lambda: QKFormer(0, (1, 1, 1), 8), 'embed_dims of QKFormer must be a positive integer and a multiple of 8, got 0'),
    (lambda: MLPixer(8, dropout=1.5), 'dropout of MLPixer must be at least 0 and at most 1, got 1.5'),
    (lambda: SRB(8, dropout=-1), 'dropout of SRB must be at least 0 and at most 1, got -1'),
    (lambda: ConvMixer(8, mlp_ratio=-4), 'mlp_ratio of ConvMixer must be at least .*, got -4'),
])  # fmt: skip
def test_arguments_out_of_range_are_refused_at_build(build, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        build()


def test_ranges():
    check_number('x', 1, least=1)
    check_number('x', 0.5, above=0, below=1)
    check_count('n', 16, multiple_of=8)
    for value in ('1', None, True, float('inf'), NAN):
        with pytest.raises(InvalidInput, match='x must be'):
            check_number('x', value)
    for value in (1.0, '1', None, True, 0):
        with pytest.raises(InvalidInput, match='n must be a positive integer'):
            check_count('n', value)
    with pytest.raises(InvalidInput, match='n must be an integer of at least 2 and a multiple of 4, got 6'):
        check_count('n', 6, 2, 4)
