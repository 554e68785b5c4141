"""The folder of event scenes: recordings, boxes and annotations, laid out as Prophesee's Gen1 set."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mmsterf.events.camera import CameraSettings
from mmsterf.events.labels import DATA_SETS, class_numbers
from mmsterf.events.recordings import reader

from .digit_scans import load_scans
from .event_scenes import CLASS_SETS, EventScene, EventSceneSettings, make_event_scene
from .made_folder import make_folder
from .placed_events import find_recordings, place_recordings
from .prophesee import annotations
from .scene_settings import SPLITS

FORMAT = 1  # of the files and of the recordings; goes up when the same settings no longer give the same data


def make_dataset(
    out: Path,
    counts: dict[str, int],
    seed: int = 0,
    settings: EventSceneSettings | None = None,
    camera: CameraSettings | None = None,
    force: bool = False,
    recordings: str | None = None,
) -> bool:
    """Make the recordings in `out`, unless they are there already. They appear there whole or not at all.

    Args:
        out: Folder to make; its parents are made too.
        counts: Number of recordings of 'train' and of 'val'.
        seed: At least 0.
        settings: What they are like; default :class:`EventSceneSettings`.
        camera: What the camera is like; default :class:`CameraSettings`.
        force: Replace recordings that this tool made with other settings (or with the same).
        recordings: Folder of class folders of real ones, four of which are placed in a scene instead.

    Returns:
        Whether they were made; False if they were there with the same settings.

    Raises:
        FileExistsError: `out` holds something else.
    """
    settings, camera = settings or EventSceneSettings(), camera or CameraSettings()
    meta = {'format': FORMAT, **counts, **asdict(settings), **asdict(camera), 'seed': seed, 'recordings': recordings}
    class_sets = dict(CLASS_SETS)
    if recordings:
        classes, paths, labels = find_recordings(recordings)
        class_sets = {'digits': classes}

    def scene(split: str, index: int) -> EventScene:
        if recordings:
            return place_recordings(paths, labels, split, seed, index, settings.size)
        return make_event_scene(split, seed, index, settings, camera)

    def write(folder: Path) -> None:
        if not recordings:
            load_scans()  # fails before anything is written if scikit-learn is missing
        mininterval = 0.1 if sys.stderr.isatty() else 5
        with tqdm(total=sum(counts.values()), desc='event scenes', unit='recording', mininterval=mininterval) as bar:
            for split in SPLITS:
                for index in range(counts[split]):
                    _write_scene(folder, split, index, scene(split, index), settings.size)
                    bar.update()
        for class_set, names in class_sets.items():
            data_set = DATA_SETS['gen1']._replace(classes=class_numbers(names))
            for split in SPLITS:
                content, _ = annotations(folder / class_set / split, data_set)
                file = folder / class_set / 'annotations' / f'{split}.json'
                file.parent.mkdir(exist_ok=True)
                file.write_text(json.dumps(content))

    return make_folder(out, meta, write, force)


def _write_scene(root: Path, split: str, index: int, scene: EventScene, size: tuple[int, int]) -> None:
    recording, name = None, f'scene_{index:04d}'
    for class_set, boxes in scene.boxes.items():
        folder = root / class_set / split
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f'{name}_bbox.npy', boxes)
        target = folder / f'{name}_td.dat'
        if recording is None:
            reader('evio.formats.prophesee', target).write(target, scene.events, width=size[1], height=size[0])
            recording = target
        else:
            _link_or_copy(recording, target)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
