"""Look at a folder, write what has to be written beside it, and a config that trains on it."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from mmsterf.checkpoint import is_of_mmengine
from mmsterf.datasets.findings import listed
from mmsterf.engine.config import load_config
from mmsterf.engine.data import check_data
from mmsterf.engine.data_checks import check_contents, described, refuse
from mmsterf.engine.outputs import check_new_file, check_writable
from mmsterf.errors import InvalidInput

from .class_folders import find_classes
from .coco import find_detection
from .config_text import NAMES, config_text, models
from .found import Found
from .plan import Plan, make_plan
from .segmentation import find_segmentation
from .weights import BACKBONE, kind_of


def make_config(
    data: str,
    task: str,
    *,
    model: str = 'sdt_mlpixer_tiny',
    out: str = 'my_config.py',
    new: Optional[str] = None,
    classes: Optional[Sequence] = None,
    ignore: Sequence = (),
    pretrained: Optional[str] = None,
    size: Optional[int] = None,
    iters: Optional[int] = None,
    boxes: bool = False,
    seed: int = 0,
    force: bool = False,
    whole: bool = True,
) -> Found:
    """Write a config for own data, and print what they hold.

    Args:
        data (str): Folder, or a COCO, VIA or data.yaml file.
        task (str): 'det', 'seg' or 'cls'.
        model (str): Name of a shipped config, without the task's part.
        out (str): The config.
        new (str, optional): Folder of new files (splits, converted annotations), 'DATA_mmsterf' by default.
        classes (sequence[str], optional): Names of classes, where label maps have none.
        ignore (sequence[str]): Values of label maps that are no class.
        pretrained (str, optional): Weights to begin from.
        size (int, optional): Longest side of images in training.
        iters (int, optional): Iterations of training.
        boxes (bool): Learn boxes only, also where there are masks.
        seed (int): Of the split into train and val, where none is there.
        force (bool): Overwrite files.
        whole (bool): Read every image and label map.

    Raises:
        InvalidInput: If something about the data or the options is wrong; nothing is left then.
    """
    data, out = Path(data), Path(out)
    if not data.exists():
        raise InvalidInput(f'DATA {data} is not there (looked for {data.absolute()})')
    if out.suffix != '.py':
        raise InvalidInput(f'--out {out}: must end in .py')
    check_new_file('--out', out, force)
    valid = models(task)
    if model not in valid:
        raise InvalidInput(f'--model {model}: valid for {task} are {", ".join(valid)}')
    kind = kind_of(pretrained, task) if pretrained else None
    if (classes or ignore) and task != 'seg':
        raise InvalidInput('--classes and --ignore are for label maps (--task seg): other data have names of classes')
    found = {
        'det': find_detection,
        'seg': lambda *args: find_segmentation(*args, classes, ignore),
        'cls': find_classes,
    }[task](data, seed)
    found.masks &= not boxes
    base = load_config(f'mmsterf::{NAMES[task].format(model)}.py')
    plan = make_plan(found, kind is not None, size, iters)
    root = found.root.resolve()
    folder = Path(new).resolve() if new else root.parent / f'{root.name}_mmsterf'
    text = config_text(found, plan, model, base, os.path.relpath(folder, root), pretrained and _place(pretrained), kind)
    part = out.absolute().with_name(f'.{os.getpid()}_{out.name}')
    was_there = folder.exists()
    try:
        if found.files:
            check_writable('--data-out', folder)
            _write(found.files, folder, force)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text)
        _check(found, plan, part, pretrained, kind, whole)
        os.replace(part, out)
    except BaseException:
        if found.files and not was_there:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        part.unlink(missing_ok=True)
    if found.files:
        print(f'new files are in {folder}: {listed(found.files, 4)}')
    _next(out, plan, pretrained, kind)
    return found


def _place(file: str) -> str:
    return file if '://' in file else str(Path(file).resolve())


def _write(files: dict, folder: Path, force: bool) -> None:
    """Write files into a folder; those that are there with other contents need `force`."""
    parts = {}
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[path] = path.with_name(f'.{os.getpid()}_{path.name}')
            if callable(content):
                content(parts[path])
            else:
                parts[path].write_text(content)
            if path.exists() and not force and path.read_bytes() != parts[path].read_bytes():
                raise InvalidInput(
                    f'{path} is there with other contents: another config may use it; choose another folder with '
                    '--data-out, or overwrite it with --force'
                )
        for path, part in parts.items():
            os.replace(part, path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _check(found: Found, plan: Plan, config: Path, pretrained, kind, whole: bool) -> None:
    """Load the config as training will, and print what its data hold.

    Raises:
        InvalidInput: If training would refuse it.
    """
    cfg = load_config(str(config))
    check_data(cfg, ('train', 'val'))
    reports = check_contents(cfg, ('train', 'val'), whole=whole)
    with_masks = ' with masks' if found.masks else ''
    print(f'{found.root}: {found.form}{with_masks}, {len(found.classes)} classes')
    for report in reports:
        split = report.name.partition('_')[0]
        if not report.classes and split in found.objects:
            report.classes = found.objects[split]
            report.objects = sum(report.classes.values())
        print(described(report))
    for note in found.notes:
        print(f'  note: {note}')
    if plan.small > 0.1:
        print(
            f'  note: {plan.small:.0%} of the objects are smaller than 8 pixels in images of {plan.scale[0]} and will '
            'hardly be found: --size makes images larger, and training slower'
        )
    refuse(reports)
    if pretrained and not is_of_mmengine(pretrained):
        _fits(cfg, pretrained, kind)


def _fits(cfg, pretrained: str, kind: str) -> None:
    """Load the weights into the model once, which says what of them fits."""
    from mmengine.registry import MODELS

    from mmsterf.checkpoint.loading import load_pretrained
    from mmsterf.engine.checks import check_start

    with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
        model = registry.build(cfg.model)
    if kind == BACKBONE:
        load_pretrained(model.backbone, pretrained, 'backbone.')
    else:
        check_start(model, pretrained, False)


def _next(out: Path, plan: Plan, pretrained, kind) -> None:
    start = 'from nothing' if kind is None else f'the {"backbone" if kind == BACKBONE else "model"} from {pretrained}'
    print(
        f'{out}: images of {plan.scale[0]} x {plan.scale[1]}, {plan.batch} at a time, {plan.max_iters} iterations '
        f'(each image {plan.passes:.0f} times), {start}'
    )
    print(f'next: tools/train.py {out}')
    checkpoint = Path('work_dirs', out.stem, f'iter_{plan.max_iters}.pth')
    print(f'then: tools/predict.py {out} {checkpoint} PHOTOS')
