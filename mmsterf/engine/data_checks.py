"""What the data sets of a config hold, checked before a model is built: `check_contents`, then `refuse`."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from mmsterf.datasets.check_classes import classes_error
from mmsterf.datasets.check_coco import check_coco
from mmsterf.datasets.findings import Report, listed
from mmsterf.errors import InvalidInput

from .data_reading import build_dataset, is_segmentation, read_all, read_some_maps
from .dataset_parts import dataset_leaves

_METRICS = ('CocoMetric', 'EventCocoMetric')
_ALL = 'tools/misc/check_data.py CONFIG lists all'


def check_contents(cfg: Config, splits: tuple, whole: bool = False) -> list:
    """Check the data sets of a config, those whose annotation files are there.

    Args:
        cfg (Config): Config whose `{split}_dataloader` and `{split}_evaluator` are looked at.
        splits (tuple): Of 'train', 'val', 'test'.
        whole (bool): Read every image and label map, with progress, of data sets of all kinds; of several processes,
            the first one does.

    Returns:
        list[Report]: One for each data set that is known well enough, wrappers taken apart.
    """
    reports, known = [], {}
    whole = whole and not int(os.environ.get('RANK', 0))
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        for leaf in dataset_leaves(loader['dataset']) if isinstance(loader, dict) else ():
            kind = dataset_class(leaf, cfg.default_scope)
            if kind is None:
                if whole:
                    build_dataset(leaf, cfg)  # which says so
                continue
            report = _check_leaf(leaf, kind, split, _metrics(cfg, split))
            if whole:
                report = report or Report(f'{split}_dataloader')
                if not report.errors or report.files:
                    read_all(report, leaf, kind, cfg, known)
            elif report is None and split == 'train' and is_segmentation(leaf, kind):
                read_some_maps(report := Report(f'{split}_dataloader'), leaf, cfg)
            if report is not None:
                reports.append(report)
    return reports


def described(report: Report) -> str:
    """What a report says, on several lines."""
    lines = [f'{report.name}: {report.images} images' + f' of {report.total}' * (report.images != report.total)]
    if report.sizes:
        sides = [f'{w} x {h} ({count})' for (w, h), count in Counter(report.sizes).most_common()]
        lines.append(f'  sizes (width x height): {listed(sides, 6)}')
    if report.classes:
        lines.append(f'  {report.objects} objects or label maps; objects or pixels of {len(report.classes)} classes:')
        lines.append(f'  {listed((f"{name} {count}" for name, count in report.classes.items()), 200)}')
    lines += [f'  WARNING: {finding}' for finding in report.warnings]
    lines += [f'  wrong: {finding}' for finding in report.errors]
    return '\n'.join(lines)


def refuse(reports: list) -> None:
    """Raise the first error of the reports, if there is one.

    Raises:
        InvalidInput: Names file, entry, what is wrong with it, how many more are, and where a list is to be had.
    """
    errors = [(report, finding) for report in reports for finding in report.errors]
    if errors:
        report, finding = errors[0]
        more = f'; {len(errors) - 1} more kinds of errors ({_ALL})' if len(errors) > 1 else ''
        raise InvalidInput(f'{report.name}: {finding}{more}')


def log_findings(reports: list) -> None:
    """Log the warnings of the reports, once for each file."""
    if int(os.environ.get('RANK', 0)):
        return
    told = set()
    for report in reports:
        for finding in report.warnings:
            if str(finding) not in told:
                told.add(str(finding))
                print_log(f'{report.name}: {finding}', logger='current', level=logging.WARNING)


def dataset_class(leaf: dict, scope: str) -> Optional[type]:
    """The class of a data set's config; None if no one registered it."""
    kind = leaf.get('type')
    if isinstance(kind, type) or kind is None:
        return kind
    with DATASETS.switch_scope_and_registry(scope) as registry:
        return registry.get(kind)


def class_names(leaf: dict, kind: type) -> Optional[tuple]:
    """`metainfo.classes` as the data set will have them, and whether the config set them."""
    metainfo = leaf.get('metainfo') or {}
    if isinstance(metainfo.get('classes'), str) and Path(metainfo['classes']).is_file():
        return kind._load_metainfo(metainfo)['classes'], True
    if 'classes' in metainfo:
        return metainfo['classes'], True
    return getattr(kind, 'METAINFO', {}).get('classes'), False


def named_palette(leaf: dict, kind: Optional[type]) -> Optional[Sequence]:
    """Colours that the config names for its classes, or the data set for its own; None if neither does.

    Then mmseg draws some by lot, and mmdet's sets have the first of those that were made for other classes.
    """
    metainfo, known = leaf.get('metainfo') or {}, getattr(kind, 'METAINFO', {})
    classes, own = class_names(leaf, kind) if kind is not None else (None, False)
    theirs = not own or list(classes or ()) == list(known.get('classes') or ())
    return metainfo.get('palette') or (known.get('palette') if theirs else None)


def _metrics(cfg: Config, split: str) -> list:
    evaluator = cfg.get(f'{split}_evaluator') or []
    if isinstance(evaluator, dict):
        evaluator = evaluator.get('metrics', [evaluator])
    metrics = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    return [metric for metric in metrics if str(metric.get('type')).rpartition('.')[2] in _METRICS]


def _check_leaf(leaf: dict, kind: type, split: str, metrics: list) -> Optional[Report]:
    """Report of one data set; None if it is of a kind that is not known here."""
    name = f'{split}_dataloader'
    classes, own = class_names(leaf, kind)
    if own and (error := classes_error(classes)):
        report = Report(name)
        report.error('classes', error)
        return report
    if _reads_coco(kind):
        return _check_coco_leaf(leaf, kind, name, metrics, classes, own)
    return None


def _reads_coco(kind: type) -> bool:
    """Whether a data set reads its file as mmdet's CocoDataset does, and not in a way of its own."""
    try:
        from mmdet.datasets import CocoDataset
    except ImportError:
        return False
    return (
        issubclass(kind, CocoDataset)
        and kind.load_data_list is CocoDataset.load_data_list
        and getattr(kind, 'READS_AS_COCO', kind.parse_data_info is CocoDataset.parse_data_info)
        and kind.COCOAPI is CocoDataset.COCOAPI
    )


def _check_coco_leaf(leaf: dict, kind: type, name: str, metrics: list, classes, own: bool) -> Optional[Report]:
    file = Path(leaf.get('data_root') or '') / (leaf.get('ann_file') or '')
    if '://' in str(leaf.get('ann_file')) or leaf.get('backend_args') or not file.is_file():
        return None
    scores = [Path(metric['ann_file']) for metric in metrics if metric.get('ann_file')]
    scored = any(path.is_file() and path.samefile(file) for path in scores)
    masks = _reads_masks(leaf.get('pipeline') or ()) or (
        scored and any('segm' in str(metric.get('metric')) for metric in metrics)
    )
    format_only = bool(metrics) and all(metric.get('format_only') for metric in metrics)
    report = check_coco(
        str(file), classes, own_classes=own, masks=masks, scored=scored, without_annotations=format_only
    )
    report.name = name
    if not report.errors:
        _left(report, leaf, kind, file)
        for path in {path for path in scores if path.is_file() and not path.samefile(file)}:
            _compare(report, path, str(file), classes, own, masks)
        _images_there(report, leaf)
    return report


def _left(report: Report, leaf: dict, kind: type, file: Path) -> None:
    """What `filter_cfg` and `indices` leave of the images."""
    from mmdet.datasets import CocoDataset

    kept = list(zip(report.ids, report.files))
    rule = leaf.get('filter_cfg') or {}
    if not leaf.get('test_mode') and kind.filter_data is CocoDataset.filter_data and rule:
        if rule.get('filter_empty_gt'):
            kept = [item for item in kept if item[0] in report.with_objects]
        kept = [item for item in kept if min(item[1][1:]) >= rule.get('min_size', 0)]
        if not kept:
            report.error(
                'filter',
                f'filter_cfg={dict(rule)} leaves none of the {report.total} images of {file}: they have no objects, or '
                'are smaller than min_size',
            )
    kept = _cut(report, kept, leaf.get('indices'), str(file))
    report.ids, report.files = [item[0] for item in kept], [item[1] for item in kept]
    report.images = len(kept)


def _cut(report: Report, items: list, indices, what: str) -> list:
    """`items` as mmengine's `indices` picks them, with an error if it cannot, and a warning for what it leaves out."""
    if indices is None or not items:
        return items
    if isinstance(indices, int):
        found = items[:indices] if indices >= 0 else items[indices:]
    elif isinstance(indices, (list, tuple)) and all(
        isinstance(index, int) and -len(items) <= index < len(items) for index in indices
    ):
        found = [items[index] for index in indices]
    else:
        report.error(
            'indices', f'indices={indices!r} of the data set; valid are a number, or numbers below {len(items)}'
        )
        return items
    if not found:
        report.error('indices', f'indices={indices!r} leaves no image of {len(items)}')
    elif len(found) < len(items):
        shown = indices if isinstance(indices, int) else f'[{listed(indices, 3)}]'
        report.warning(
            'indices',
            f'indices={shown} takes {len(found)} of the {len(items)} images of {what}; '
            f'--cfg-options {report.name}.dataset.indices=None takes all',
        )
    return found


def _compare(report: Report, path: Path, file: str, classes, own: bool, masks: bool) -> None:
    """Whether the evaluator's annotation file goes with the data set's."""
    other = check_coco(str(path), classes, own_classes=own, masks=masks, scored=True)
    report.take(other)
    lacking = set(report.ids) - set(other.ids)
    if not other.errors and lacking:
        report.error(
            'evaluator',
            f'{len(lacking)} of {len(report.ids)} images of {file} are not in the ann_file {path} of the evaluator, '
            f'id {next(iter(lacking))!r} first: the two must be of the same images',
        )


def _images_there(report: Report, leaf: dict) -> None:
    folder = Path(leaf.get('data_root') or '') / ((leaf.get('data_prefix') or {}).get('img') or '')
    for name in dict.fromkeys(name for name, _, _ in report.files):
        try:
            size = os.stat(folder / name).st_size
        except OSError:
            report.error('missing image', f'image {folder / name} is not there, data_prefix.img being {str(folder)!r}')
            continue
        if not size:
            report.error('empty image', f'image {folder / name} is an empty file')


def _reads_masks(steps) -> bool:
    """Whether a pipeline loads masks."""
    if isinstance(steps, dict):
        return bool(steps.get('with_mask')) or any(map(_reads_masks, steps.values()))
    return isinstance(steps, (list, tuple)) and any(map(_reads_masks, steps))
