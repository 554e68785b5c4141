"""Make the demo data: scenes of real handwriting on textured backgrounds, laid out as COCO and as ADE20K.

    OUT/coco/annotations/instances_{train,val}2017.json   boxes and exact masks (RLE), categories '0'..'9'
    OUT/coco/{train,val}2017/*.jpg
    OUT/ade/images/{training,validation}/*.jpg            the same pictures (hard links where possible)
    OUT/ade/annotations/{training,validation}/*.png       label maps: 1 background, 2..11 digits 0..9
    OUT/meta.json                                         the settings it was made with

With --task far the class of a digit is not what it reads, but the colour of a mark `--distance` pixels away: categories
and labels are 'red' and 'blue' then, and who does not look that far can only guess.

With `reduce_zero_label=True`, as ADE20K has it, the labels become 0 background, 1..10 digits. Nothing is downloaded:
the handwriting comes with scikit-learn. With the same versions of NumPy, OpenCV and scikit-learn, the same settings
give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle
from tqdm import tqdm

from mmsterf.datasets.digit_scenes import DIRECTIONS, SPLITS, TASKS, Scene, SceneSettings, load_scans, make_scene
from mmsterf.engine import arguments, command_line
from mmsterf.engine.outputs import check_new_file, check_writable

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
        with tqdm(total=sum(counts.values()), desc='digit scenes', unit='scene', mininterval=mininterval) as bar:
            for split in SPLITS:
                _write_split(new, split, counts[split], seed, settings, bar)
        _write_json(new / 'meta.json', meta)
        if _is_there(out, meta, force):  # another run was faster
            return False
        if out.exists():
            out.rename(work / 'old')
        new.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return True


def draw_preview(out: Path, file: Path, scenes: int = 12, zoom: int = 2) -> None:
    """Draw a contact sheet from the files of a data set: each scene plain and, below it, with its boxes and masks.

    Args:
        out: A folder that :func:`make_dataset` made.
        file: Picture to write.
        scenes: At most this many, half of them for validation.
        zoom: Enlargement, so that the drawing does not hide the digits.
    """
    tiles = []
    for split in SPLITS:
        data = json.loads(_annotation_file(out / 'coco', split).read_text())
        names = {category['id']: category['name'] for category in data['categories']}
        for image in data['images'][: scenes // 2]:
            picture = cv2.imread(str(out / 'coco' / COCO_FOLDERS[split] / image['file_name']))
            picture = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
            drawn = picture // 2
            for annotation in data['annotations']:
                if annotation['image_id'] == image['id']:
                    _draw_instance(picture, drawn, annotation, names[annotation['category_id']], zoom)
            tiles.append(np.vstack([picture, drawn]))
    columns = 6
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    file.parent.mkdir(parents=True, exist_ok=True)
    _write_image(file, np.vstack(rows))


def _draw_instance(picture: np.ndarray, drawn: np.ndarray, annotation: dict, name: str, zoom: int) -> None:
    mask = rle.decode(annotation['segmentation']).repeat(zoom, 0).repeat(zoom, 1)
    drawn[mask > 0] = picture[mask > 0]
    outline, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, outline, -1, (255, 255, 255), 1)
    x, y, w, h = (round(zoom * side) for side in annotation['bbox'])
    cv2.rectangle(drawn, (x, y), (x + w - 1, y + h - 1), (0, 255, 255), 1)
    for colour, thickness in (((0, 0, 0), 4), ((0, 255, 255), 1)):
        cv2.putText(drawn, name, (x + 2, y + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thickness, cv2.LINE_AA)


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
        _write_image(coco_images / f'{name}.jpg', scene.image)
        _link_or_copy(coco_images / f'{name}.jpg', ade_images / f'{name}.jpg')
        _write_image(ade_labels / f'{name}.png', label_map(scene))
        height, width = scene.instances.shape
        images.append({'id': image_id, 'file_name': f'{name}.jpg', 'height': height, 'width': width})
        for annotation in coco_annotations(scene):
            annotations.append({'id': len(annotations) + 1, 'image_id': image_id, **annotation})
        bar.update()
    file = _annotation_file(root / 'coco', split)
    file.parent.mkdir(exist_ok=True)
    categories = [
        {'id': number, 'name': name, 'supercategory': 'digit'} for number, name in enumerate(settings.classes, 1)
    ]
    info = {'description': f'digit scenes, {split}', 'version': str(FORMAT)}
    _write_json(
        file, {'info': info, 'licenses': [], 'images': images, 'annotations': annotations, 'categories': categories}
    )


def _annotation_file(coco: Path, split: str) -> Path:
    return coco / 'annotations' / f'instances_{COCO_FOLDERS[split]}.json'


def _write_json(file: Path, content: dict) -> None:
    file.write_text(json.dumps(content) + '\n')


def _write_image(file: Path, image: np.ndarray) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if file.suffix == '.jpg' else []
    if not cv2.imwrite(str(file), image, options):
        raise OSError(f'could not write {file}')


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; the result has ``counts`` and ``settings`` beside the plain arguments."""
    default = SceneSettings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(name: str, help: str, default, metavar=None, type=int) -> None:
        shown = ' '.join(map(str, default)) if isinstance(default, tuple) else str(default).removesuffix('.0')
        nargs = len(default) if isinstance(default, tuple) else None
        parser.add_argument(
            name, help=f'{help} (default {shown})', default=default, nargs=nargs, metavar=metavar, type=type
        )

    add('--out', 'folder to make', Path('data/digit_scenes'), type=lambda text: Path(arguments.file_name(text)))
    add('--train', 'number of training scenes', 3200, 'N', arguments.count)
    add('--val', 'number of validation scenes', 120, 'N', arguments.count)
    add('--size', 'height and width of the scenes, pixels', default.size, ('H', 'W'), arguments.whole(1, 4096))
    add(
        '--digits',
        'digits per scene; fewer where no more find room',
        default.digits,
        ('MIN', 'MAX'),
        arguments.whole(0, 1000),
    )
    add('--scale', 'height of the digits, pixels', default.scale, ('MIN', 'MAX'), arguments.whole(1, 4096))
    add('--rotate', 'largest rotation either way, degrees', default.rotate, 'DEG', arguments.number())
    parser.add_argument(
        '--task', choices=TASKS, default=default.task, help='what decides the class of a digit (default digits)'
    )
    parser.add_argument(
        '--distance',
        type=arguments.whole(1, 4096),
        metavar='N',
        help='from a digit to its mark with --task far, pixels (default half of the shorter side)',
    )
    add('--mark-radius', 'of the marks of --task far, pixels', default.mark_radius, 'N', arguments.whole(1, 4096))
    parser.add_argument(
        '--direction', choices=DIRECTIONS, default=default.direction, help='of marks, from their digits (default both)'
    )
    parser.add_argument('--plain', action='store_true', help='grounds of one colour each, without textures')
    parser.add_argument('--one-class', action='store_true', help="one class for all, 'digit', instead of ten")
    add('--seed', 'another seed, other scenes', 0, 'N', arguments.seed)
    parser.add_argument('--force', action='store_true', help='replace scenes made before')
    parser.add_argument('--preview', type=Path, metavar='FILE.png', help='also draw some scenes with their annotations')
    args = parser.parse_args(argv)

    if args.preview and args.preview.suffix.lower() not in ('.png', '.jpg'):
        parser.error(f'--preview is {args.preview}: must end in .png or .jpg')
    if args.task == 'far':
        args.distance = args.distance or min(args.size) // 2
        args.digits = (1, 1) if args.digits == default.digits else args.digits
    try:
        args.settings = SceneSettings(
            tuple(args.size), tuple(args.digits), tuple(args.scale), args.rotate, args.task, args.distance,
            args.mark_radius, args.direction, args.plain, args.one_class,
        )  # fmt: skip
    except ValueError as error:
        parser.error(f'--{error}')
    args.counts = {'train': args.train, 'val': args.val}
    return args


@command_line('no scenes; earlier ones are as they were')
def main(argv: list[str] | None = None) -> None:
    """Run the command line; ends with status 1 and one sentence on what cannot be done."""
    args = parse_args(argv)
    cv2.setNumThreads(1)  # the pictures are too small to gain from more
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that it tidies up
    start = time.perf_counter()
    check_writable('--out', args.out)
    if args.preview:
        check_new_file('--preview', args.preview, args.force)
    made = make_dataset(args.out, args.counts, args.seed, args.settings, args.force)
    took = f'made in {time.perf_counter() - start:.1f} s' if made else 'are there already, with the same settings'
    print(f'{args.out}: {args.train} + {args.val} digit scenes (training + validation) {took}')
    if args.preview:
        draw_preview(args.out, args.preview)
        print(f'{args.preview}: preview')


if __name__ == '__main__':
    main()
