"""Digit scenes as files: laid out as COCO and as ADE20K, or as folders of classes.

    OUT/coco/annotations/instances_{train,val}2017.json   boxes and exact masks (RLE), categories '0'..'9'
    OUT/coco/{train,val}2017/*.jpg
    OUT/ade/images/{training,validation}/*.jpg            the same pictures (hard links where possible)
    OUT/ade/annotations/{training,validation}/*.png       label maps: 1 background, 2..11 digits 0..9
    OUT/meta.json                                         the settings it was made with

or, of the task 'cls',

    OUT/cls/{train,val}/{0..9}/*.jpg                      a picture of one digit each, as ImageNet's
    OUT/meta.json
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle
from tqdm import tqdm

from .digit_scans import load_scans
from .digit_scenes import Scene, make_scene
from .scene_settings import SPLITS, SceneSettings

FORMAT = 1  # of the files and of the scenes; goes up when the same settings no longer give the same data
COCO_FOLDERS = {'train': 'train2017', 'val': 'val2017'}
ADE_FOLDERS = {'train': 'training', 'val': 'validation'}
BACKGROUND_LABEL = 1  # in the label maps; 0 would be "ignore", and digit d is d + 2
STALE_SECONDS = 24 * 3600


def coco_annotations(scene: Scene) -> list[dict]:
    """COCO annotations of a scene's digits, without ids; areas and boxes are those of the visible strokes.

    The extra key ``scan`` says which scan of the digits data set was used, ``mark`` the row and column of a far mark.
    """
    annotations = []
    for number, (label, scan) in enumerate(zip(scene.labels, scene.scans), 1):
        mask = rle.encode(np.asfortranarray(scene.instances == number, np.uint8))
        annotations.append(
            {
                'category_id': label + 1,
                'bbox': rle.toBbox(mask).tolist(),
                'area': int(rle.area(mask)),
                'segmentation': {'size': mask['size'], 'counts': mask['counts'].decode('ascii')},
                'iscrowd': 0,
                'scan': scan,
                **({'mark': list(scene.mark)} if scene.mark else {}),
            }
        )
    return annotations


def label_map(scene: Scene) -> np.ndarray:
    """ADE20K-style label map of a scene, uint8 (H, W): 1 is background, digit d is d + 2."""
    return np.array([BACKGROUND_LABEL, *(label + 2 for label in scene.labels)], np.uint8)[scene.instances]


def make_dataset(
    out: Path, counts: dict[str, int], seed: int = 0, settings: SceneSettings | None = None, force: bool = False
) -> bool:
    """Make the data set in `out`, unless it is there already. It appears there whole or not at all.

    Args:
        out: Folder to make; its parents are made too.
        counts: Number of scenes of 'train' and of 'val'.
        seed: At least 0.
        settings: What scenes look like; default :class:`SceneSettings`.
        force: Replace a data set that this tool made with other settings (or with the same).

    Returns:
        Whether it was made; False if it was there with the same settings.

    Raises:
        FileExistsError: `out` holds something else.
    """
    settings = settings or SceneSettings()
    out = Path(out).resolve()  # so that a link to a larger disk stays a link
    meta = {'format': FORMAT, **counts, **asdict(settings), 'seed': seed}
    meta = json.loads(json.dumps(meta))
    if _is_there(out, meta, force):
        return False
    load_scans()  # fails before anything is written if scikit-learn is missing

    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(out)
    work = Path(tempfile.mkdtemp(prefix=f'.{out.name}.partial-', dir=out.parent))
    try:
        new = work / 'new'
        mininterval = 0.1 if sys.stderr.isatty() else 5
        write = _write_classes if settings.task == 'cls' else _write_split
        with tqdm(total=sum(counts.values()), desc='digit scenes', unit='scene', mininterval=mininterval) as bar:
            for split in SPLITS:
                write(new, split, counts[split], seed, settings, bar)
        _write_json(new / 'meta.json', meta)
        if _is_there(out, meta, force):  # another run was faster
            return False
        if out.exists():
            out.rename(work / 'old')
        new.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return True


def _is_there(out: Path, meta: dict, force: bool) -> bool:
    """Whether `out` is what is wanted; raises if it is something that must not be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        # Older data say nothing of settings that came later.
        found = {**asdict(SceneSettings()), **json.loads((out / 'meta.json').read_text())}
        found = {key: found[key] for key in meta}
    except (OSError, ValueError, KeyError, TypeError):
        raise FileExistsError(
            f'{out} exists and was not made by this tool: choose another --out, or remove it yourself'
        ) from None
    if force:
        return False
    if found == meta:
        return True
    changed = [key for key in meta if found[key] != meta[key]]
    raise FileExistsError(
        f'{out} was made with {_spell(found, changed)}, but {_spell(meta, changed)} is asked for: '
        'choose another --out, or replace it with --force'
    )


def _spell(meta: dict, keys: list[str]) -> str:
    values = {key: meta[key] if isinstance(meta[key], list) else [meta[key]] for key in keys}
    return ', '.join(f'{key} {" ".join(map(str, value))}' for key, value in values.items())


def _remove_stale(out: Path) -> None:
    """Remove what runs left that were killed too hard to tidy up (long ago: another run may be at work)."""
    for left in out.parent.glob(f'.{out.name}.partial-*'):
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _write_split(root: Path, split: str, count: int, seed: int, settings: SceneSettings, bar: tqdm) -> None:
    coco_images = root / 'coco' / COCO_FOLDERS[split]
    ade_images, ade_labels = (root / 'ade' / kind / ADE_FOLDERS[split] for kind in ('images', 'annotations'))
    for folder in (coco_images, ade_images, ade_labels):
        folder.mkdir(parents=True)
    images, annotations = [], []
    for index in range(count):
        scene = make_scene(split, seed, index, settings)
        image_id, name = index + 1, f'{index + 1:012d}'
        write_image(coco_images / f'{name}.jpg', scene.image)
        _link_or_copy(coco_images / f'{name}.jpg', ade_images / f'{name}.jpg')
        write_image(ade_labels / f'{name}.png', label_map(scene))
        height, width = scene.instances.shape
        images.append({'id': image_id, 'file_name': f'{name}.jpg', 'height': height, 'width': width})
        for annotation in coco_annotations(scene):
            annotations.append({'id': len(annotations) + 1, 'image_id': image_id, **annotation})
        bar.update()
    file = annotation_file(root / 'coco', split)
    file.parent.mkdir(exist_ok=True)
    categories = [
        {'id': number, 'name': name, 'supercategory': 'digit'} for number, name in enumerate(settings.classes, 1)
    ]
    info = {'description': f'digit scenes, {split}', 'version': str(FORMAT)}
    _write_json(
        file, {'info': info, 'licenses': [], 'images': images, 'annotations': annotations, 'categories': categories}
    )


def _write_classes(root: Path, split: str, count: int, seed: int, settings: SceneSettings, bar: tqdm) -> None:
    for name in settings.classes:
        (root / 'cls' / split / name).mkdir(parents=True)
    for index in range(count):
        scene = make_scene(split, seed, index, settings)
        write_image(root / 'cls' / split / settings.classes[scene.labels[0]] / f'{index + 1:012d}.jpg', scene.image)
        bar.update()


def annotation_file(coco: Path, split: str) -> Path:
    """Annotations of a split below `coco`."""
    return coco / 'annotations' / f'instances_{COCO_FOLDERS[split]}.json'


def _write_json(file: Path, content: dict) -> None:
    file.write_text(json.dumps(content) + '\n')


def write_image(file: Path, image: np.ndarray) -> None:
    """Write a picture, a JPEG with little loss.

    Raises:
        OSError: If it cannot be written.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if file.suffix == '.jpg' else []
    if not cv2.imwrite(str(file), image, options):
        raise OSError(f'could not write {file}')


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
