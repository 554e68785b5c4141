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
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle
from tqdm import tqdm

from .digit_scans import load_scans
from .digit_scenes import Scene, make_scene
from .made_folder import make_folder
from .scene_settings import SPLITS, SceneSettings

FORMAT = 1  # of the files and of the scenes; goes up when the same settings no longer give the same data
COCO_FOLDERS = {'train': 'train2017', 'val': 'val2017'}
ADE_FOLDERS = {'train': 'training', 'val': 'validation'}
BACKGROUND_LABEL = 1  # in the label maps; 0 would be "ignore", and digit d is d + 2


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
    meta = {'format': FORMAT, **counts, **asdict(settings), 'seed': seed}

    def write(folder: Path) -> None:
        load_scans()  # fails before anything is written if scikit-learn is missing
        mininterval = 0.1 if sys.stderr.isatty() else 5
        write_split = _write_classes if settings.task == 'cls' else _write_split
        with tqdm(total=sum(counts.values()), desc='digit scenes', unit='scene', mininterval=mininterval) as bar:
            for split in SPLITS:
                write_split(folder, split, counts[split], seed, settings, bar)

    # Older data say nothing of settings that came later.
    return make_folder(out, meta, write, force, asdict(SceneSettings()))


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
