"""Say what data is missing, where it was looked for and how to get it, before a model is built."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from .dataset_parts import SPLITS, dataset_leaves

# Data sets of mmseg that list a folder of images, .jpg unless told otherwise, with .png label maps.
_FOLDERS = ('ADE20KDataset', 'BaseSegDataset')
_LOADERS = ('LoadAnnotations', 'mmseg.LoadAnnotations')
_ELSEWHERE = '--cfg-options data_root=PATH{variable} tells where else it is'


def check_data(cfg: Config, splits: tuple) -> None:
    """Check that the annotation files and image folders of a config exist.

    Args:
        cfg (Config): Config whose `{split}_dataloader` and `{split}_evaluator` are looked at.
        splits (tuple): Of 'train', 'val', 'test'.

    Raises:
        FileNotFoundError: Names everything that is missing by its absolute path, and how to get or link it.
    """
    missing, advice, empty = {}, {}, []
    for split in splits:
        loader, evaluator = cfg.get(f'{split}_dataloader'), cfg.get(f'{split}_evaluator')
        leaves = list(dataset_leaves(loader['dataset'])) if isinstance(loader, dict) else []
        for leaf in leaves:
            for what, path in _paths(leaf):
                if not path.exists():
                    missing.setdefault(path.absolute(), f'{what} of {split}_dataloader')
                    advice.setdefault(_how_to_get(leaf))
            if not missing:
                empty += _without_files(leaf, split)
        for metric in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
            if isinstance(metric, dict) and _is_local(metric.get('ann_file')) and not Path(metric['ann_file']).exists():
                missing.setdefault(Path(metric['ann_file']).absolute(), f'ann_file of {split}_evaluator')
                advice.setdefault(_how_to_get(leaves[0] if leaves else {}))
    if missing:
        lines = ''.join(f'\n  {path} ({what})' for path, what in missing.items())
        raise FileNotFoundError(f'the data set is not there; missing are{lines}\n' + '\n'.join(advice))
    if empty:
        raise FileNotFoundError('; '.join(empty))


def check_labels_when_read(cfg: Config) -> None:
    """Let every pipeline of a segmentation config check its label maps, also those of stock configs, in place."""
    head = cfg.model.get('decode_head') or {}
    head = head[-1] if isinstance(head, (list, tuple)) else head
    if cfg.default_scope != 'mmseg' or 'num_classes' not in head:
        return
    check = {
        'type': 'mmsterf.CheckLabelMap',
        'num_classes': head['num_classes'],
        'ignore_index': head.get('ignore_index', 255),
    }
    for split in SPLITS:
        if isinstance(loader := cfg.get(f'{split}_dataloader'), dict):
            for leaf in dataset_leaves(loader['dataset']):
                leaf['pipeline'] = _checked(leaf.get('pipeline') or [], check)
    if cfg.get('tta_pipeline'):
        cfg.tta_pipeline = _checked(cfg.tta_pipeline, check)


def name_files_that_fail(runner) -> None:
    """Let the pipelines of a runner name the files that they cannot read, in place; its config stays as it is."""
    for split in SPLITS:
        loader = getattr(runner, f'_{split}_dataloader', None)
        if isinstance(loader, dict):
            name_files_of(loader)


def name_files_of(loader: dict) -> None:
    """Let the pipelines of one loader's config name the files that they cannot read, in place."""
    for leaf in dataset_leaves(loader['dataset']):
        if leaf.get('pipeline'):
            leaf['pipeline'] = _named(leaf['pipeline'])


def _named(steps):
    """`steps` with what loads files wrapped, also inside other steps."""
    if isinstance(steps, (list, tuple)):
        return [_named(step) for step in steps]
    if not isinstance(steps, dict):
        return steps
    if str(steps.get('type')).rpartition('.')[2] in ('LoadImageFromFile', 'LoadAnnotations'):
        return {'type': 'mmsterf.ReadFile', 'step': steps}
    return {**steps, 'transforms': _named(steps['transforms'])} if 'transforms' in steps else steps


def _checked(steps: list, check: dict) -> list:
    """`steps` with `check` behind what loads label maps, unless it is there."""
    found = []
    for step in steps:
        parts = step.get('transforms')
        if isinstance(parts, (list, tuple)):
            step = {**step, 'transforms': _checked_parts(parts, check)}
        found.append(step)
        if step['type'] in _LOADERS:
            found.append(check)
    return steps if any(step['type'] == check['type'] for step in steps) else found


def _checked_parts(parts: list, check: dict) -> list:
    """The same for what a step is made of: steps, or, in test-time augmentation, lists of alternatives."""
    if any(isinstance(part, dict) for part in parts):
        return _checked(parts, check)
    if any(step['type'] == check['type'] for part in parts for step in part):
        return parts
    return [new for part in parts for new in ([part, [check]] if part and part[0]['type'] in _LOADERS else [part])]


def _paths(leaf: dict) -> Iterator[tuple]:
    """Names and paths of one data set, joined as mmengine's BaseDataset joins them."""
    root = leaf.get('data_root') or ''
    candidates = [('ann_file', leaf.get('ann_file'))]
    prefixes = leaf.get('data_prefix') or {}
    if not isinstance(prefixes, dict):  # of mmpretrain's data sets
        prefixes = {'img_path': prefixes}
    candidates += [(f'data_prefix.{key}', prefix) for key, prefix in prefixes.items()]
    if str(leaf.get('type')).rpartition('.')[2] == 'ImageNet' and not (leaf.get('ann_file') or prefixes):
        candidates.append(('split', leaf.get('split')))
    for what, path in candidates:
        if path and _is_local(path) and _is_local(root or '.'):
            yield what, Path(root) / path


def _without_files(leaf: dict, split: str) -> Iterator[str]:
    """What images and label maps a segmentation data set of folders lacks, a clause each."""
    paths = {what.rpartition('.')[2]: path for what, path in _paths(leaf)}
    if str(leaf.get('type')).rpartition('.')[2] not in _FOLDERS or leaf.get('ann_file') or 'img_path' not in paths:
        return
    suffixes = {'img_path': leaf.get('img_suffix', '.jpg'), 'seg_map_path': leaf.get('seg_map_suffix', '.png')}
    names = {
        key: {str(file.relative_to(paths[key]))[: -len(suffix)] for file in paths[key].rglob(f'*{suffix}')}
        for key, suffix in suffixes.items()
        if key in paths
    }
    if not names['img_path']:
        folder = paths['img_path'].absolute()
        yield f'no *{suffixes["img_path"]} in {folder} (data_prefix.img_path of {split}_dataloader)'
    elif lacking := sorted(names['img_path'] - names.get('seg_map_path', names['img_path'])):
        yield (
            f'{len(lacking)} of {len(names["img_path"])} images of {split}_dataloader have no label map in '
            f'{paths["seg_map_path"].absolute()}, {lacking[0]}{suffixes["seg_map_path"]} first'
        )


def _is_local(path) -> bool:
    return isinstance(path, str) and '://' not in path and not path.startswith('s3:')


def _how_to_get(leaf: dict) -> str:
    root = (leaf.get('data_root') or 'data').rstrip('/')
    kind = str(leaf.get('type')).lower()
    classes = (leaf.get('metainfo') or {}).get('classes') or ()
    if kind.endswith('eventcocodataset') and set(classes) in (set('0123456789'), {'left', 'right'}):
        source = (
            f'python tools/dataset_converters/make_event_scenes.py --out {Path(root).parent} makes the event scenes'
        )
        variable = ', or the environment variable MMSTERF_EVENT_SCENES_ROOT=FOLDER_ABOVE,'
    elif kind.endswith('eventcocodataset'):
        name = '1mpx' if len(classes) == 3 else 'gen1'
        what = {'1mpx': "Prophesee's 1 Megapixel", 'gen1': "Prophesee's Gen1"}[name]
        source = (
            f'Get {what} automotive detection data set from prophesee.ai, link it: ln -s /path/to/{name} {root}, and '
            f'make its annotations: python tools/dataset_converters/prophesee_to_coco.py {root} --dataset {name}'
        )
        variable = f', or the environment variable MMSTERF_{name.upper()}_ROOT=PATH,'
    elif kind.endswith('dsecsemanticdataset'):
        source = (
            'Get the events of DSEC and DSEC-Semantic from dsec.ifi.uzh.ch and link the folder that has both: '
            f'ln -s /path/to/dsec {root}'
        )
        variable = ', or the environment variable MMSTERF_DSEC_ROOT=PATH,'
    elif set('0123456789') <= set(classes):
        of_one = Path(root).name == 'cls'
        task, made = ('--task cls ', 'pictures of one digit each') if of_one else ('', 'the digit scenes')
        source = f'python tools/dataset_converters/make_digit_scenes.py {task}--out {Path(root).parent} makes {made}'
        name = 'MMSTERF_DIGIT_PICTURES_ROOT' if of_one else 'MMSTERF_DIGITS_ROOT'
        variable = f', or the environment variable {name}=FOLDER_ABOVE,'
    elif 'coco' in kind:
        source = f'Get COCO 2017 from cocodataset.org and link it: ln -s /path/to/coco {root}'
        variable = ', or the environment variable MMSTERF_COCO_ROOT=PATH,'
    elif 'ade' in kind:
        source = (
            'Get ADEChallengeData2016 from groups.csail.mit.edu/vision/datasets/ADE20K and link it: '
            f'ln -s /path/to/ADEChallengeData2016 {root}'
        )
        variable = ', or the environment variable MMSTERF_ADE_ROOT=PATH,'
    elif 'imagenet' in kind:
        source = (
            'Get ImageNet-1k from image-net.org, with the folders train and val, and link it: '
            f'ln -s /path/to/imagenet {root}'
        )
        variable = ', or the environment variable MMSTERF_IMAGENET_ROOT=PATH,'
    else:
        source, variable = f'Put or link the data at {root}', ''
    return f'{source}; {_ELSEWHERE.format(variable=variable)}.'
