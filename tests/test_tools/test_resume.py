"""Kills at bad moments, on tiny tasks: resumed runs are exact, and work dirs keep what they hold."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest
import torch
from mmengine.config import Config
from tiny_tasks import run_tool, start_tool, write_task


@pytest.fixture(scope='module')
def tasks(tmp_path_factory) -> dict:
    """Configs of both tasks."""
    found = {}
    for task in ('detection', 'segmentation'):
        found[task] = write_task(tmp_path_factory.mktemp(task), task)
    return found


def variant(config: Path, name: str, text: str) -> Path:
    """A config beside `config` that inherits it and goes on with `text`."""
    file = config.with_name(f'{name}.py')
    file.write_text(f"_base_ = './{config.name}'\ncustom_imports = dict(imports=['killing_hook'])\n{text}\n")
    return file


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def assert_same(path: Path, expected: Path) -> None:
    found, wanted = load(path), load(expected)
    for part in ('state_dict', 'ema_state_dict'):
        assert found.get(part, {}).keys() == wanted.get(part, {}).keys()
        for name, tensor in wanted.get(part, {}).items():
            assert torch.equal(found[part][name], tensor), (part, name)
    for index, state in wanted['optimizer']['state'].items():
        for name, tensor in state.items():
            assert torch.equal(torch.as_tensor(found['optimizer']['state'][index][name]), torch.as_tensor(tensor)), name


VARIANTS = {
    # 3 iterations between steps: open at the ends of epochs of 4, and at iterations 2 and 4 of 6.
    'det_accumulation': ('detection', 'optim_wrapper = dict(accumulative_counts=3)\ncustom_hooks = [{kill}]', 6),
    'seg_accumulation': (
        'segmentation',
        'optim_wrapper = dict(accumulative_counts=3)\ndefault_hooks = dict(checkpoint=dict(interval=2))\n'
        'custom_hooks = [{kill}]',
        5,
    ),
    'ema_begin': (
        'detection',
        "custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', begin_iter=6), {kill}]",
        6,
    ),
    'ema_annealing': (
        'segmentation',
        "custom_hooks = [dict(type='EMAHook', ema_type='MomentumAnnealingEMA', update_buffers=True), {kill}]",
        4,
    ),
    'analysis_hooks': (
        'segmentation',
        "custom_hooks = [dict(type='mmsterf.STERFHook', interval=2, by_epoch=False, num=1, size=(32, 32)), "
        "dict(type='mmsterf.FiringRateHook', interval=2), {kill}]",
        4,
    ),
    'within_epochs': (
        'detection',
        'default_hooks = dict(checkpoint=dict(by_epoch=False, interval=3))\ncustom_hooks = [{kill}]',
        5,
    ),
    'plateau': (
        'detection',
        "param_scheduler = [dict(type='ReduceOnPlateauLR', monitor='coco/bbox_mAP', rule='greater', patience=0, "
        'factor=0.1)]\ncustom_hooks = [{kill}]',
        5,
    ),
}


@pytest.mark.parametrize('name', VARIANTS)
def test_killed_and_resumed_is_exact(tasks, name):
    task, text, kill_at = VARIANTS[name]
    config, last = tasks[task], {'detection': 'epoch_2', 'segmentation': 'iter_6'}[task]
    if name == 'within_epochs':
        last = 'iter_8'
    folder = config.parent
    seed = ['--cfg-options', 'randomness.seed=1', 'val_evaluator=None', 'val_cfg=None', 'val_dataloader=None']
    if name == 'plateau':
        seed = seed[:2]
    whole = variant(config, f'{name}_whole', text.replace('{kill}', "dict(type='KillingHook')"))
    kills = variant(config, f'{name}_killed', text.replace('{kill}', f"dict(type='KillingHook', at_iter={kill_at})"))
    run_tool('train', whole, '--work-dir', folder / f'{name}/whole', *seed, folder=folder)
    killed = ['--work-dir', folder / f'{name}/killed', *seed]
    run_tool('train', kills, *killed, folder=folder, expect=-signal.SIGKILL)
    assert not (folder / f'{name}/killed/{last}.pth').exists()
    run_tool('train', whole, '--resume', *killed, folder=folder)
    assert_same(folder / f'{name}/killed/{last}.pth', folder / f'{name}/whole/{last}.pth')


def test_cut_off_validation_is_made_up_for(tasks):
    config = tasks['segmentation']
    folder = config.parent
    best = 'default_hooks = dict(checkpoint=dict(save_best="mIoU"))\n'
    whole = variant(config, 'val_whole', best)
    kills = variant(config, 'val_killed', best + "custom_hooks = [dict(type='KillingHook', at_val=1)]")
    run_tool('train', whole, '--work-dir', folder / 'val/whole', '--cfg-options', 'randomness.seed=1', folder=folder)
    killed = ['--work-dir', folder / 'val/killed', '--cfg-options', 'randomness.seed=1']
    run_tool('train', kills, *killed, folder=folder, expect=-signal.SIGKILL)
    assert not list((folder / 'val/killed').glob('best_*'))
    printed = run_tool('train', whole, '--resume', *killed, folder=folder)
    assert 'had not finished when training stopped' in printed
    assert_same(folder / 'val/killed/iter_6.pth', folder / 'val/whole/iter_6.pth')

    def scores(name):
        lines = [json.loads(line) for file in sorted((folder / name).glob('2*/vis_data/scalars.json')) for line in
                 file.read_text().splitlines()]  # fmt: skip
        return {line['step']: line['mIoU'] for line in lines if 'mIoU' in line}

    assert scores('val/killed') == scores('val/whole') and set(scores('val/whole')) == {3, 6}
    assert [p.name for p in (folder / 'val/killed').glob('best_*')] == [
        p.name for p in (folder / 'val/whole').glob('best_*')
    ]
    # One that had finished is not repeated.
    shutil.copytree(folder / 'val/whole', folder / 'val/done')
    printed = run_tool('train', whole, '--resume', '--work-dir', folder / 'val/done', folder=folder)
    assert 'had not finished' not in printed


def test_work_dir_of_an_earlier_run(tasks):
    config = tasks['segmentation']
    folder, work_dir = config.parent, config.parent / 'earlier'
    options = ['--work-dir', work_dir, '--cfg-options', 'train_cfg.max_iters=3']
    printed = run_tool('train', config, *options, folder=folder)
    first = (work_dir / 'iter_3.pth').read_bytes()
    # The saved config is the user's, and what mmseg's API needs.
    saved = Config.fromfile(work_dir / config.name)
    users = Config.fromfile(config)
    for key in ('model', 'train_dataloader', 'val_dataloader', 'default_hooks', 'visualizer'):
        assert saved[key] == users[key], key
    assert 'custom_hooks' not in saved and saved.train_cfg.max_iters == 3 and 'mmsterf.Safe' not in printed
    assert load(work_dir / 'iter_3.pth')['meta']['cfg'] == saved.pretty_text

    # A new run keeps what was there, also where it starts from it.
    printed = run_tool('train', config, *options, f'load_from={work_dir}/iter_3.pth', folder=folder)
    (aside,) = work_dir.glob('before_*')
    assert f'moved to {aside}' in printed and (aside / 'iter_3.pth').read_bytes() == first
    assert (work_dir / 'iter_3.pth').read_bytes() != first

    # Other settings or another seed are not gone on with silently.
    other = [*options[:3], 'train_cfg.max_iters=4', 'optim_wrapper.optimizer.momentum=0.5', 'randomness.seed=77']
    printed = run_tool('train', config, '--resume', *other, folder=folder, expect=1)
    assert 'optim_wrapper.optimizer.momentum was 0.9 and is 0.5' in printed and 'randomness.seed was' in printed
    assert f'name it: --resume {work_dir}/iter_3.pth' in printed and 'Traceback' not in printed
    printed = run_tool('train', config, '--resume', work_dir / 'iter_3.pth', *other, folder=folder)
    assert 'was trained with other settings: optim_wrapper.optimizer.momentum' in printed
    assert (work_dir / 'iter_4.pth').exists()

    # The newest whole checkpoint is taken, and the others named.
    data = bytearray((work_dir / 'iter_4.pth').read_bytes())
    data[len(data) // 2] ^= 255
    (work_dir / 'iter_4.pth').write_bytes(data)
    (work_dir / 'iter_5.pth').write_bytes(bytes(data[:1000]))
    (work_dir / 'last_checkpoint').write_text('')
    again = [*options[:3], 'train_cfg.max_iters=4']
    printed = run_tool('train', config, '--resume', *again, folder=folder)
    assert f'{work_dir}/iter_4.pth (' in printed and f'{work_dir}/iter_5.pth (' in printed
    assert f'going on from {work_dir}/iter_3.pth' in printed
    for file in work_dir.glob('*.pth'):
        file.write_bytes(b'')
    printed = run_tool('train', config, '--resume', *again, folder=folder, expect=1)
    assert 'error: --resume: no checkpoint in' in printed and 'to start anew, leave --resume out' in printed


def test_weights_to_start_from(tasks):
    config = tasks['segmentation']
    folder, work_dir = config.parent, config.parent / 'starts'
    options = ['--work-dir', work_dir, '--cfg-options', 'train_cfg.max_iters=1', 'default_hooks.checkpoint.interval=1']
    run_tool('train', config, *options, folder=folder)
    checkpoint = load(work_dir / 'iter_1.pth')
    state = checkpoint['state_dict']
    resized = {**state, 'decode_head.conv_seg.weight': torch.zeros(5, 8, 1, 1)}
    torch.save({'state_dict': resized}, folder / 'resized.pth')
    torch.save({'state_dict': {f'x.{key}': value for key, value in state.items()}}, folder / 'foreign.pth')
    torch.save({**checkpoint, 'state_dict': resized}, work_dir / 'iter_1.pth')

    printed = run_tool('train', config, *options, f'load_from={folder}/resized.pth', folder=folder)
    assert '1 of another shape in it (decode_head.conv_seg.weight)' in printed
    printed = run_tool('train', config, *options, f'load_from={folder}/foreign.pth', folder=folder, expect=1)
    assert 'foreign.pth fits nothing in the EncoderDecoder' in printed and 'Traceback' not in printed
    # What was refused has moved nothing.
    (aside,) = work_dir.glob('before_*')
    assert (work_dir / 'iter_1.pth').exists()
    named = aside / 'iter_1.pth'
    printed = run_tool('train', config, '--resume', named, *options, folder=folder, expect=1)
    assert 'decode_head.conv_seg.weight' in printed and 'Traceback' not in printed


def test_second_run_in_a_work_dir_is_refused(tasks):
    config = tasks['segmentation']
    folder = config.parent
    (folder / 'held').mkdir()
    descriptor = os.open(folder / 'held', os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    printed = run_tool('train', config, '--work-dir', folder / 'held', folder=folder, expect=1)
    os.close(descriptor)
    assert 'held is in use by another training that still runs' in printed and 'Traceback' not in printed
    assert not list((folder / 'held').iterdir())


def test_killed_run_leaves_no_process(tasks):
    config = variant(tasks['detection'], 'orphans', "custom_hooks = [dict(type='KillingHook', at_iter=5)]")
    folder = config.parent
    loaders = ['train_dataloader.num_workers=2', 'val_dataloader.num_workers=1']
    process = start_tool('train', config, '--work-dir', folder / 'orphans', '--cfg-options', *loaders, folder=folder)
    seen = {}
    while process.is_alive():
        with contextlib.suppress(psutil.NoSuchProcess):
            seen.update({child.pid: child for child in psutil.Process(process.pid).children(recursive=True)})
        time.sleep(0.02)
    assert process.exitcode == -signal.SIGKILL and len(seen) >= 2
    _, alive = psutil.wait_procs(list(seen.values()), timeout=5)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
