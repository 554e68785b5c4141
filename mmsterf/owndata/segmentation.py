"""Segmentation data: pairs, values and splits of a folder, as mmseg reads them."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Optional

from mmsterf.datasets.findings import listed
from mmsterf.errors import InvalidInput

from .files import divide, files_below, two_splits, upright_size
from .found import Found
from .map_values import Values
from .maps import layout, pairs


def find_segmentation(data: Path, seed: int, classes: Optional[Sequence] = None, ignore: Sequence = ()) -> Found:
    """What a folder holds for segmentation.

    Args:
        data (Path): The folder.
        seed (int): Of the split, where none is there.
        classes (sequence[str], optional): Names in the order of the values, if the data have none.
        ignore (sequence[str]): Values, colours or names that are no class.

    Raises:
        InvalidInput: If there are no pairs of images and label maps, or values and names do not go together.
    """
    if not data.is_dir():
        raise InvalidInput(f'{data} is not a folder; segmentation takes a folder of images and label maps')
    from tqdm import tqdm

    found = Found('seg', 'label maps', data)
    parts, without = pairs(data, files_below(data))
    if without:
        found.notes.append(f'{len(without)} images have no label map, and are left out ({without[0]} first)')
    chosen, divided = two_splits(parts, found.notes), False
    if not chosen:
        whole = parts.get('train') or sorted(pair for part in parts.values() for pair in part)
        split = divide([image.as_posix() for image, _ in whole], seed)
        chosen = {name: [pair for pair in whole if pair[0].as_posix() in set(names)] for name, names in split.items()}
        found.files['split.json'] = json.dumps({'seed': seed, **split}, indent=1)
        found.notes.append(f'there is no split train and val: made one by the seed {seed}')
        divided = True
    values = Values(data)
    maps = [label for part in chosen.values() for _, label in part]
    values.count(tqdm(maps, desc='label maps', unit='map', dynamic_ncols=True))
    if not classes and all('labelTrainIds' in path.name for path in maps):
        from mmseg.datasets import CityscapesDataset

        classes = CityscapesDataset.METAINFO['classes']
    values.choose(classes, ignore, found.notes)
    found.form = f'label maps ({"colours" if values.colours else "numbers"})'
    found.classes, found.palette = values.classes, values.palette
    for name, part in chosen.items():
        found.counts[name] = len(part)
        place = layout(part) if values.native else {}
        listing = divided or (place and set(place['names']) != _there(data, place))
        if place:
            found.splits[name] = {key: place[key] for key in ('img_suffix', 'seg_map_suffix')}
            found.splits[name]['data_prefix'] = {key: place[key] for key in ('img_path', 'seg_map_path')}
            names = place['names']
        else:
            found.splits[name] = {'img_suffix': '', 'seg_map_suffix': '.png', 'data_prefix': {'img_path': ''}}
            names, listing = [image.as_posix() for image, _ in part], True
            for image, label in part:
                found.files[f'labels/{image.as_posix()}.png'] = partial(values.convert, label)
        if listing:
            found.splits[name]['ann_file'] = None
            found.files[f'{name}.txt'] = '\n'.join(names) + '\n'
    if not values.native:
        found.notes.append(f'{len(maps)} label maps are written anew, as numbers of classes')
    found.sizes = [upright_size(data / image) for image, _ in chosen['train'][:1000]]
    absent = [name for name, count in values.pixels().items() if not count]
    if absent:
        found.notes.append(f'no label map has a pixel of {listed(absent)}')
    return found


def _there(root: Path, place: dict) -> set:
    folder = root / place['img_path']
    suffix = place['img_suffix']
    return {
        path.relative_to(folder).as_posix()[: -len(suffix)] for path in folder.rglob(f'*{suffix}') if path.is_file()
    }
