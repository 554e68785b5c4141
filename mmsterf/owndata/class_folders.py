"""Classification data: folders of images by class, with or without folders train and val above them."""

import json
from collections import Counter
from pathlib import Path

from mmsterf.datasets.findings import listed
from mmsterf.errors import InvalidInput

from .files import divide, files_below, is_image, split_of, two_splits, upright_size
from .found import Found


def find_classes(data: Path, seed: int) -> Found:
    """What a folder holds for classification: ``class/image`` or ``split/class/image``.

    Raises:
        InvalidInput: If there are no two classes.
    """
    if not data.is_dir():
        raise InvalidInput(f'{data} is not a folder; classification takes folders of images, one for each class')
    images = [path.relative_to(data) for path in files_below(data) if is_image(path)]
    loose = [path for path in images if len(path.parts) == 1]
    tops = {path.parts[0] for path in images if len(path.parts) > 1}
    by_split = bool(tops) and all(split_of(Path(top, 'x')) for top in tops)
    depth = 2 if by_split else 1
    members: dict = {}
    for path in images:
        if len(path.parts) > depth:
            members.setdefault(split_of(Path(path.parts[0], 'x')) if by_split else 'all', []).append(path)
    classes = sorted({path.parts[depth - 1] for paths in members.values() for path in paths})
    if len(classes) < 2:
        raise InvalidInput(
            f'{data} has {len(classes)} folders with images ({listed(classes) or "none"}); classification takes one '
            'for each class, two at least: class/image, or train/class/image and val/class/image'
        )
    found = Found('cls', 'class folders', data, classes)
    if loose:
        found.notes.append(f'{len(loose)} images are in no folder of a class, and left out ({loose[0]} first)')
    names = {split: [path.as_posix() for path in paths] for split, paths in members.items()}
    chosen = two_splits(names, found.notes)
    if not chosen:
        whole = names.get('train') or [name for part in names.values() for name in part]
        chosen = divide(whole, seed, [Path(name).parts[depth - 1] for name in whole])
        found.files['split.json'] = json.dumps({'seed': seed, **chosen}, indent=1)
        found.notes.append(f'there is no split train and val: made one by the seed {seed}')
    for split, paths in chosen.items():
        found.files[f'{split}.txt'] = ''.join(f'{p} {classes.index(Path(p).parts[depth - 1])}\n' for p in paths)
        counts = Counter(Path(name).parts[depth - 1] for name in paths)
        found.objects[split] = {name: counts[name] for name in classes}
        found.splits[split], found.counts[split] = {'ann_file': None}, len(paths)
        if absent := [name for name in classes if not counts[name]]:
            found.notes.append(f'{split} has no image of {listed(absent)}')
    found.sizes = [upright_size(data / name) for name in chosen['train'][:1000]]
    return found
