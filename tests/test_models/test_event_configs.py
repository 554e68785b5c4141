"""Configs of event data sets: whole models take windows of made recordings in the layouts of the data sets."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, METRICS, MODELS, DefaultScope
from PIL import Image

from mmsterf.engine.checks import check_classes, check_model
from mmsterf.engine.config import load_config
from mmsterf.engine.data import check_data
from mmsterf.engine.data_checks import check_contents, refuse
from mmsterf.errors import InvalidInput
from mmsterf.events import EVENT
from mmsterf.events.labels import BOX, DATA_SETS, Labels, to_coco

prophesee = pytest.importorskip('evio.formats.prophesee')

ROOT = Path(__file__).parents[2]
CONFIGS = [*sorted(path.name for path in (ROOT / 'configs/events').glob('*_gen1.py')), 'retinanet_sdtv2_1mpx.py']
SIZE = (64, 80)


def made_events(count=4000, last=900_000, size=SIZE):
    rng = np.random.default_rng(0)
    events = np.zeros(count, EVENT)
    events['t'], events['p'] = np.sort(rng.integers(0, last, count)), rng.integers(0, 2, count)
    events['x'], events['y'] = rng.integers(0, size[1], count), rng.integers(0, size[0], count)
    return events


def smaller(steps):
    """A pipeline for recordings of `SIZE`."""
    sizes = {'scale': SIZE[::-1], 'crop_size': SIZE[::-1]}
    return [{**step, **{key: value for key, value in sizes.items() if key in step}} for step in steps]


@pytest.fixture(scope='module')
def boxes_folder(tmp_path_factory):
    """Gen1's layout, with two recordings in each split, and annotations of two or three classes."""
    root = tmp_path_factory.mktemp('gen1')
    for name, data_set in DATA_SETS.items():
        (root / name / 'annotations').mkdir(parents=True)
        for split in ('train', 'val', 'test'):
            (root / name / split).mkdir()
            prophesee.write(root / name / split / 'a_td.dat', made_events(), SIZE[1], SIZE[0])
            boxes = np.array([(700_000 + 100_000 * i, 5, 6, 40, 50, i, i) for i in range(len(data_set.classes))], BOX)
            labels = Labels('a_td.dat', SIZE, boxes, (0, 2_000_000))
            content, _ = to_coco([labels], data_set.classes, data_set.protocol._replace(min_diagonal=30, min_side=10))
            (root / name / f'annotations/{split}.json').write_text(repr(content).replace("'", '"'))
    return root


def first_batch(cfg, split='train'):
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    return dataset, pseudo_collate([dataset[0], dataset[len(dataset) - 1]])


def losses(cfg, data):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    check_model(model)
    check_classes(model, cfg)
    model.train()
    data = model.data_preprocessor(data, True)
    assert data['inputs'].shape[:1] + data['inputs'].shape[2:3] == (4, 2)  # (T, N, C, H, W)
    found = {key: sum(v) if isinstance(v, list) else v for key, v in model(**data, mode='loss').items()}
    total = sum(value for key, value in found.items() if 'loss' in key)
    total.backward()
    stem = next(p for name, p in model.named_parameters() if name.startswith('backbone.'))
    assert torch.isfinite(total) and stem.grad.abs().sum() > 0
    return model


@pytest.mark.parametrize('name', CONFIGS)
def test_detectors(name, boxes_folder):
    data_set = '1mpx' if '1mpx' in name else 'gen1'
    cfg = load_config(str(ROOT / 'configs/events' / name), {'data_root': str(boxes_folder / data_set)})
    check_data(cfg, ('train', 'val', 'test'))
    reports = check_contents(cfg, ('train', 'val', 'test'))
    refuse(reports)
    assert len(reports) == 3 and all(report.images >= 2 for report in reports)
    cfg.train_dataloader.dataset.pipeline = smaller(cfg.train_dataloader.dataset.pipeline)
    if 'rcnn' in cfg.model.train_cfg:  # of 512 RoIs, a test takes a minute
        cfg.model.train_cfg.rcnn.sampler.num = 8
    dataset, data = first_batch(cfg)
    window = dataset[0]['inputs']  # scaled and cropped
    assert window.shape[0] == 8 and window.shape[1] in range(45, SIZE[0] + 1) and window.sum() > 100
    model = losses(cfg, data)
    classes = {'gen1': ('car', 'pedestrian'), '1mpx': ('pedestrian', 'two wheeler', 'car')}[data_set]
    assert dataset.metainfo['classes'] == classes
    neurons = {type(module).__name__ for name, module in model.backbone.named_modules()}
    assert ('LIF' in neurons) == ('sdtv2' in name or 'lif' in name)
    metric = METRICS.build(cfg.test_evaluator)
    assert metric.protocol.min_side == 10 and metric.proposal_nums[-1] == 100
    cfg.test_dataloader.dataset.pipeline = smaller(cfg.test_dataloader.dataset.pipeline)
    sample = first_batch(cfg, 'test')[1]['data_samples'][0]
    assert sample.ori_shape == SIZE and sample.img_path.part[1:] == (700_000, SIZE)


def write_sequence(root, split, name, stamps, maps=3, rectify=True):
    events, labels = (
        root / f'{split}_events' / name / 'events/left',
        root / f'{split}_semantic_segmentation' / split / name,
    )
    events.mkdir(parents=True)
    (labels / '11classes').mkdir(parents=True)
    made = made_events(size=(48, 64))
    with h5py.File(events / 'events.h5', 'w') as file:
        for field in 'xytp':
            file[f'events/{field}'] = made[field]
        file['t_offset'] = 5_000_000
    if rectify:
        rows, columns = np.mgrid[:48, :64].astype(np.float32)
        with h5py.File(events / 'rectify_map.h5', 'w') as file:
            file['rectify_map'] = np.stack([columns + 1.2, rows - 0.6], -1)  # one to the right, one up
    (labels / f'{name}_semantic_timestamps.txt').write_text('\n'.join(map(str, stamps)) + '\n')
    rng = np.random.default_rng(0)
    for i in range(maps):
        Image.fromarray(rng.integers(0, 11, (40, 64), np.uint8)).save(labels / f'11classes/{i:06d}.png')
    return labels


def test_segmentor_in_the_layout_of_dsec(tmp_path, logged):
    for split in ('train', 'test'):
        write_sequence(tmp_path, split, 'zurich_a', [5_000_000 - 1, 5_400_000, 5_800_000])
        write_sequence(tmp_path, split, 'zurich_b', [5_300_000, 5_400_000, 5_500_000], rectify=False)
    file = str(ROOT / 'configs/events/semantic_fpn_sdtv2_dsec.py')
    cfg = load_config(file, {'data_root': str(tmp_path)})
    check_data(cfg, ('train', 'val', 'test'))
    for split in ('train', 'test'):
        leaf = cfg[f'{split}_dataloader'].dataset
        leaf.size = (40, 64)
        leaf.pipeline = [{**step, **({'scale': (64, 40)} if 'scale' in step else {}), **({'crop_size': (32, 64)}
                         if 'crop_size' in step else {})} for step in leaf.pipeline]  # fmt: skip
    cfg.model.data_preprocessor.size = (32, 64)
    dataset, data = first_batch(cfg)
    # The first label of the first sequence is no later than its first event.
    assert len(dataset) == 5 and '1 of 3 label maps before or after the events are left out' in logged.getvalue()
    losses(cfg, data)
    rectified, plain = (first_batch(cfg, 'test')[0][i]['inputs'] for i in (0, 3))
    assert rectified.shape == plain.shape == (8, 40, 64)
    assert torch.equal(rectified[:, :-1, 1:], plain[:, 1:, :-1]) and rectified[:, :, 0].sum() == 0
    sample = dataset[0]['data_samples']
    assert sample.gt_sem_seg.data.shape == (1, 32, 64)

    labels = write_sequence(tmp_path, 'train', 'zurich_c', [5_300_000, 5_400_000])
    with pytest.raises(InvalidInput, match=r'is of shape \(2,\), and there are 3 label maps'):
        first_batch(cfg)
    (labels / 'zurich_c_semantic_timestamps.txt').write_text('a\n')
    with pytest.raises(InvalidInput, match='no list of microseconds'):
        first_batch(cfg)
    (labels / 'zurich_c_semantic_timestamps.txt').unlink()
    with pytest.raises(InvalidInput, match=r'has no \*timestamps.txt'):
        first_batch(cfg)
    (tmp_path / 'train_events/zurich_c/events/left/events.h5').unlink()
    with pytest.raises(InvalidInput, match='zurich_c: has no events; they are looked for in'):
        first_batch(cfg)
    cfg.train_dataloader.dataset.labels = '19classes'
    with pytest.raises(InvalidInput, match='no sequence in it has a folder 19classes'):
        first_batch(cfg)


@pytest.mark.parametrize('name', [*CONFIGS, 'semantic_fpn_sdtv2_dsec.py'])
def test_missing_data_is_one_sentence(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(ROOT / 'configs/events' / name)
    with pytest.raises(FileNotFoundError) as error:
        check_data(cfg, ('train', 'val'))
    said = str(error.value)
    assert said.startswith('the data set is not there; missing are') and 'ln -s /path/to' in said
    folder = re.search(r'data/(\w+)', str(cfg.data_root))[1]
    assert f'{tmp_path}/data/{folder}' in said and f'MMSTERF_{folder.upper()}_ROOT' in said
    if folder != 'dsec':
        assert f'prophesee_to_coco.py data/{folder} --dataset {folder}' in said
