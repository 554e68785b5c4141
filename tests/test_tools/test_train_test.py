"""tools/train.py and tools/test.py on tiny tasks: resuming is exact, results are written, errors are clear."""

import pickle
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_tasks import IMAGES, run_tool, write_task


def _killing(config: Path, **when) -> Path:
    """A config as `config`, with a hook that kills the process."""
    killing = config.with_name(f'killing_{config.name}')
    killing.write_text(
        f"_base_ = './{config.name}'\n"
        "custom_imports = dict(imports=['killing_hook'])\n"
        f"custom_hooks = [dict(type='KillingHook', **{when})]\n"
    )
    return killing


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> dict:
    """Config and folder of an uninterrupted training, for each task."""
    tasks = {}
    for task in ('detection', 'segmentation'):
        folder = tmp_path_factory.mktemp(task)
        config = write_task(folder, task)
        printed = run_tool(
            'train', config, '--work-dir', folder / 'whole', '--cfg-options', 'randomness.seed=3', folder=folder
        )
        tasks[task] = config, folder, printed
    return tasks


def _load(path: Path) -> dict:
    # Nothing is allowed beyond what torch allows by itself.
    return torch.load(path, weights_only=True)


def _assert_same(path: Path, expected: Path) -> None:
    """Weights, buffers, optimizer state and logged losses are equal bit for bit."""
    found, wanted = _load(path), _load(expected)
    assert found['state_dict'].keys() == wanted['state_dict'].keys()
    for name, tensor in wanted['state_dict'].items():
        assert torch.equal(found['state_dict'][name], tensor), name
    for index, state in wanted['optimizer']['state'].items():
        for name, tensor in state.items():
            same = found['optimizer']['state'][index][name]
            assert torch.equal(same, tensor) if isinstance(tensor, torch.Tensor) else same == tensor, (index, name)
    losses = [hub['message_hub']['log_scalars']['train/loss']['log_history'] for hub in (found, wanted)]
    assert torch.equal(*losses)


@pytest.mark.parametrize(('task', 'last', 'kill_at'), [('detection', 'epoch_2', 6), ('segmentation', 'iter_6', 4)])
def test_killed_and_resumed_equals_uninterrupted(trained, task, last, kill_at):
    config, folder, _ = trained[task]
    killing = _killing(config, at_iter=kill_at)
    arguments = ['--work-dir', folder / 'killed', '--cfg-options', 'randomness.seed=3']
    run_tool('train', killing, *arguments, folder=folder, expect=-signal.SIGKILL)
    assert not (folder / f'killed/{last}.pth').exists()

    # Neither the seed nor the number of workers has to be told again; without workers, none is persistent.
    workers = ('train_dataloader.num_workers=0', 'val_dataloader.persistent_workers=True')
    arguments = ['--work-dir', folder / 'killed', '--resume', '--cfg-options', *workers]
    printed = run_tool('train', config, *arguments, folder=folder)
    assert 'resumed epoch' in printed
    _assert_same(folder / f'killed/{last}.pth', folder / f'whole/{last}.pth')


def test_killed_while_saving_leaves_the_checkpoint_before(trained):
    config, folder, _ = trained['detection']
    keep = ['--cfg-options', 'randomness.seed=3', 'default_hooks.checkpoint.max_keep_ckpts=1']
    arguments = ['--work-dir', folder / 'half', *keep]
    run_tool('train', _killing(config, at_save=2), *arguments, folder=folder, expect=-signal.SIGXFSZ)
    assert [path.name for path in (folder / 'half').glob('*.pth')] == ['epoch_1.pth']

    run_tool('train', config, '--resume', *arguments, folder=folder)
    _assert_same(folder / 'half/epoch_2.pth', folder / 'whole/epoch_2.pth')
    assert [path.name for path in (folder / 'half').glob('*.pth*')] == ['epoch_2.pth']


def test_detection_predictions_and_pictures(trained):
    config, folder, _ = trained['detection']
    out, work_dir = folder / 'predictions.pkl', folder / 'test'
    printed = run_tool(
        *('test', config, folder / 'whole/epoch_2.pth', '--work-dir', work_dir),
        *('--out', out, '--show-dir', folder / 'drawn', '--tta', '--cfg-options', 'load_from=nowhere'),
        *('test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=True'),
        folder=folder,
    )
    assert 'coco/bbox_mAP:' in printed and 'using the test pipeline with and without a flip' in printed
    predictions = pickle.loads(out.read_bytes())
    assert [prediction['img_id'] for prediction in predictions] == list(range(IMAGES))
    assert all(prediction['pred_instances']['bboxes'].shape[1] == 4 for prediction in predictions)
    pictures = sorted(path.name for path in (folder / 'drawn').glob('*.jpg'))
    assert pictures == [f'{i}.jpg' for i in range(IMAGES)]


def test_segmentation_label_maps_and_pictures(trained, site):
    """Also from an address: all weights of the file are there."""
    config, folder, trained_output = trained['segmentation']
    assert 'SyncBN has no CPU kernel' in trained_output
    (site.folder / 'model.pth').symlink_to(folder / 'whole/iter_6.pth')
    printed = run_tool(
        *('test', config, f'{site.url}/model.pth', '--work-dir', folder / 'test'),
        *('--out', folder / 'maps', '--show-dir', folder / 'pictures'),
        *('--cfg-options', 'model.test_cfg.mode=slide', 'model.test_cfg.crop_size=(32,32)'),
        'model.test_cfg.stride=(16,16)',
        folder=folder,
        TORCH_HOME=str(site.folder.parent),
    )
    assert 'mIoU:' in printed and 'sha256' in printed and site.asked == ['/model.pth']
    maps = sorted((folder / 'maps').glob('*.png'))
    assert [path.name for path in maps] == [f'{i}.png' for i in range(IMAGES)]
    assert all(cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape == (48, 64) for path in maps)
    assert sorted(path.name for path in (folder / 'pictures').glob('*.png')) == [f'{i}.png' for i in range(IMAGES)]


def test_segmentation_with_flips_and_scales(trained):
    config, folder, _ = trained['segmentation']
    printed = run_tool(
        'test', config, folder / 'whole/iter_6.pth', '--work-dir', folder / 'tta', '--tta', folder=folder
    )
    assert 'mIoU:' in printed


def test_data_root_moves_everything_and_amp_runs_on_cpu(trained):
    config, folder, _ = trained['detection']
    moved = folder / 'moved'
    moved.symlink_to(folder / 'data')
    # The config's own root is gone, so nothing may still point there.
    elsewhere = folder / 'elsewhere.py'
    elsewhere.write_text(config.read_text().replace(f'{folder}/data', f'{folder}/gone'))
    with_flags = ['--amp', '--auto-scale-lr', '--cfg-options', f'data_root={moved}', 'train_cfg.max_epochs=1']
    printed = run_tool('train', elsewhere, '--work-dir', folder / 'amp', *with_flags, folder=folder)
    assert 'bfloat16 autocast on CPU' in printed and 'Scaling the original LR by 0.125' in printed
    assert 'coco/bbox_mAP:' in printed


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['train', 'nothing.py'], 'error: config nothing.py is not a file'),
        (['test', '{config}', 'nothing.pth'], 'error: checkpoint nothing.pth is not a file'),
        (
            ['train', '{config}', '--cfg-options', 'load_from=nothing.pth'],
            'error: checkpoint nothing.pth is not a file',
        ),
        (['test', '{config}', '{config}'], 'is no checkpoint, but text'),
        (['train', '{config}', '--resume', 'nothing.pth'], 'error: checkpoint nothing.pth is not a file'),
        (['train', '{config}', '--resume', '{config}'], 'is no checkpoint, but text'),
        (['train', '{config}', '--cfg-options', 'data_root=/nowhere'], '/nowhere/instances.json (ann_file of'),
        (['train', '{config}', '--cfg-options', 'default_scope=mmpose'], "default_scope is 'mmpose'"),
        (['train', '{config}', '--launcher', 'slurm'], "launcher 'slurm' needs CUDA"),
        (['test', '{config}', '{checkpoint}', '--out', 'maps'], '--out maps: detections are written to a .pkl'),
    ],
)
def test_errors_are_one_line(trained, arguments, message):
    config, folder, _ = trained['detection']
    filled = [str(arg).format(config=config, checkpoint=folder / 'whole/epoch_2.pth') for arg in arguments]
    printed = run_tool(*filled, '--work-dir', folder / 'errors', folder=folder, expect=1)
    assert message in printed
    assert 'Traceback' not in printed


@pytest.mark.parametrize(
    ('tool', 'settings', 'message'),
    [
        ('train', ['model.decode_head.num_classes=2'], 'error: decode_head.num_classes is 2, but the data set of'),
        ('test', ['model.decode_head.num_classes=4'], 'error: decode_head.num_classes is 4, but the data set of'),
        ('test', ['model.decode_head.channels=16'], 'does not fit the EncoderDecoder of the config'),
        ('test', ['model.backbone.mixer.type=SRB'], ': backbone.stage1a.0.mixer.fc1.weight, '),
        ('train', ['train_dataloader.dataset.data_prefix.seg_map_path=bad'], 'error: label map'),
        ('train', ['train_dataloader.num_workers=0'], 'error: label map'),
    ],
)
def test_segmentation_errors_are_one_line(trained, tool, settings, message):
    config, folder, _ = trained['segmentation']
    text = config.read_text()
    if 'label map' in message:
        bad = folder / 'data/bad'
        if not bad.exists():
            shutil.copytree(folder / 'data/labels', bad)
            for file in bad.iterdir():
                cv2.imwrite(str(file), np.full((48, 64), 77, np.uint8))
        text = text.replace("seg_map_path='labels'", "seg_map_path='bad'")
    changed = folder / 'changed.py'
    changed.write_text(text)
    checkpoint = [folder / 'whole/iter_6.pth'] if tool == 'test' else []
    arguments = ['--work-dir', folder / 'errors', '--cfg-options', *settings]
    printed = run_tool(tool, changed, *checkpoint, *arguments, folder=folder, expect=1)
    assert message in printed
    assert 'Traceback' not in printed


def test_two_runs_in_one_process_write_to_their_own_folders(trained):
    config, folder, _ = trained['segmentation']
    both = folder / 'both'
    run_tool('../tests/test_tools/two_runs', config, both, folder=folder)
    assert len(list(both.glob('pictures/*.png'))) == IMAGES
    assert not list(both.glob('train/*/vis_data/vis_image/*'))
