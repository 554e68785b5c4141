"""Read the images and label maps of data sets: all of them (`--check-data`), or some label maps before training."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional

from mmengine.config import Config
from mmengine.registry import DATASETS

from mmsterf.datasets.check_images import read_image
from mmsterf.datasets.check_labels import LabelMaps
from mmsterf.datasets.findings import Report
from mmsterf.errors import InvalidInput
from mmsterf.events import is_recording, open_recording

from .data import _LOADERS

SOME = 50
"""How many label maps of a set are read before training."""


def build_dataset(leaf: dict, cfg: Config, *, pipeline: bool = False):
    """Build a data set without reading its files; `pipeline` builds its steps too."""
    config = {**leaf, 'lazy_init': True, 'serialize_data': False}
    if not pipeline:
        config['pipeline'] = []
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
        return registry.build(config)


def read_some_maps(report: Report, leaf: dict, cfg: Config) -> None:
    """Warn of classes that no label map has, of at most `SOME`; maps that are wrong are refused when they are met."""
    items, maps = _label_maps(leaf, cfg)
    report.images = report.total = report.total or len(items)
    items = [item for item in items if item.get('seg_map_path')]
    for index in range(min(SOME, len(items))):
        maps.read(items[index * len(items) // min(SOME, len(items))]['seg_map_path'])
    report.objects, report.classes = len(maps.files), maps.counts()
    maps.judge(report, len(items))


def read_all(report: Report, leaf: dict, kind: type, cfg: Config, known: dict) -> None:
    """Read every image and label map of a data set, with progress.

    Args:
        report (Report): Gets sizes, counts and what is wrong.
        leaf (dict): Config of the data set.
        kind (type): Its class.
        cfg (Config): The config it is in.
        known (dict): What was read before: path to (size, error, oddity).
    """
    build_dataset(leaf, cfg, pipeline=True)
    segmentation = is_segmentation(leaf, kind)
    if report.files:
        folder = Path(leaf.get('data_root') or '') / ((leaf.get('data_prefix') or {}).get('img') or '')
        items = [
            {'img_path': str(folder / name), 'width': w, 'height': h, 'event_end': report.event_ends.get(number)}
            for number, (name, w, h) in zip(report.ids, report.files)
        ]
    elif segmentation:
        items, maps = _label_maps(leaf, cfg)
    else:
        dataset = build_dataset(leaf, cfg)
        dataset.full_init()
        items = [dataset.get_data_info(index) for index in range(len(dataset))]
    listed_files = bool(report.files)
    items = [item for item in items if isinstance(item.get('img_path'), (str, os.PathLike))]
    if not items:
        report.error('nothing', f'there are no images in {leaf.get("data_root") or "the data set"}')
    report.images, report.total, report.sizes = len(items), report.total or len(items), Counter()
    for item, (size, error, odd) in zip(items, _read(report.name, [str(item['img_path']) for item in items], known)):
        path = item['img_path']
        if error:
            # Of a COCO file's images it is known whether they are there.
            if not listed_files or error not in ('is not there', 'is an empty file'):
                report.error(error.partition(':')[0], f'image {path} {error}')
            continue
        if size is not None:  # a recording may not say it
            report.sizes[size] += 1
        if error := _window_error(item, leaf):
            report.error('window', error)
        where = leaf.get('ann_file') or leaf.get('type')
        stated = item.get('width'), item.get('height')
        if odd:
            report.warning(odd[:12], f'image {path} {odd}')
        if size is not None and None not in stated and size != stated:
            turned = '; is it stored turned (EXIF)?' if size == stated[::-1] else ''
            report.error(
                'other size',
                f'image {path} is of {size[0]} x {size[1]}, but its annotations ({where}) say width {stated[0]} and '
                f'height {stated[1]}: boxes and masks would not fit{turned}',
            )
    if segmentation:
        from tqdm import tqdm

        pairs = [item for item in items if item.get('seg_map_path')]
        for item in tqdm(pairs, desc=f'{report.name}: label maps', unit='map', dynamic_ncols=True):
            size = known[str(item['img_path'])][0]
            if error := maps.read(item['seg_map_path'], size, item['img_path']):
                report.error(error.replace(str(item['seg_map_path']), '')[:24], error)
        report.objects, report.classes = len(maps.files), maps.counts()
        if len(maps.files) == len(pairs):
            maps.judge(report, len(pairs))


def _window_error(item: dict, leaf: dict) -> Optional[str]:
    """What is wrong with the window of a recording that an item is."""
    if item.get('event_end') is None or not is_recording(str(item['img_path'])):
        return None
    durations = [s.get('duration') for s in _steps(leaf.get('pipeline') or ()) if str(s['type']).endswith('LoadEvents')]
    try:
        open_recording(str(item['img_path'])).span(item['event_end'], *durations[:1])
    except InvalidInput as error:
        return str(error)
    return None


def is_segmentation(leaf: dict, kind: type) -> bool:
    """Whether a data set reads label maps as stock mmseg does, with Pillow."""
    try:
        from mmseg.datasets import BaseSegDataset
    except ImportError:
        return False
    loaders = [step for step in _steps(leaf.get('pipeline') or ()) if step.get('type') in _LOADERS]
    return issubclass(kind, BaseSegDataset) and bool(loaders) and all(
        step.get('imdecode_backend', 'pillow') == 'pillow' and not step.get('backend_args') for step in loaders
    )  # fmt: skip


def _steps(steps) -> Iterator[dict]:
    if isinstance(steps, (list, tuple)):
        for step in steps:
            yield from _steps(step)
    elif isinstance(steps, dict):
        yield steps
        yield from _steps(steps.get('transforms'))


def _label_maps(leaf: dict, cfg: Config) -> tuple:
    """What the data set lists, and counts for its label maps."""
    dataset = build_dataset(leaf, cfg)
    dataset.full_init()
    items = [dataset.get_data_info(index) for index in range(len(dataset))]
    head = (cfg.get('model') or {}).get('decode_head') or {}
    head = head[-1] if isinstance(head, (list, tuple)) else head
    classes = dataset.metainfo.get('classes')
    if classes is None:
        raise InvalidInput(f'the data set {leaf.get("type")} has no classes: set metainfo=dict(classes=...)')
    return items, LabelMaps(classes, head.get('ignore_index', 255), dataset.reduce_zero_label, dataset.label_map)


def _read(name: str, paths: list, known: dict) -> Iterator[tuple]:
    """(size, error, oddity) of images, read by several threads, each file once."""
    from tqdm import tqdm

    new = list(dict.fromkeys(path for path in paths if path not in known))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(read_image, new)
        for result, path in zip(tqdm(found, desc=f'{name}: images', total=len(new), unit='image'), new):
            known[path] = result
    return (known[path] for path in paths)
