"""Class names of a data set, compared with the categories of its COCO file."""

from collections import Counter
from typing import Optional

from .findings import Report, listed, nearest, short


def chosen_classes(report: Report, file: str, categories: list, classes, own: bool) -> Optional[dict]:
    """Category ids to names of those that the data set has, after comparing the two."""
    names = [entry['name'] for entry in categories]
    if classes is None:
        return {entry['id']: entry['name'] for entry in categories}
    if error := classes_error(classes):
        report.error('classes', error)
        return None
    unknown = [name for name in classes if name not in names]
    if unknown and not own:
        report.error(
            'classes',
            f"metainfo.classes is not set, so the data set has its class's own {len(classes)} ({listed(classes, 3)}), "
            f'of which {file} lacks {listed(unknown, 3)}; set metainfo=dict(classes={_tuple(names)})',
        )
        return None
    if unknown:
        like = nearest(unknown[0], names)
        hint = f', did you mean {like!r}?' if like else ';'
        report.error(
            'classes',
            f'metainfo.classes has {", ".join(map(repr, unknown[:5]))}, which {file} does not have{hint} '
            f'Its categories are {listed(names)}',
        )
        return None
    order = [name for name in names if name in set(classes)]
    if len(order) > len(classes):
        twice = next(name for name in order if order.count(name) > 1)
        report.error('classes', f'{file} has {order.count(twice)} categories of the name {twice!r}; names differ')
    elif order != list(classes):
        text = (
            f'metainfo.classes is in another order than the categories of {file}: mmdet numbers classes as the file '
            f'does, so that names in pictures would be wrong; write classes={_tuple(order)}'
        )
        # The data sets that come with mmdet have the names of public files; these train well in any order.
        (report.error if own else report.warning)('class order', text)
    return {entry['id']: entry['name'] for entry in categories if entry['name'] in set(classes)}


def _tuple(names: list) -> str:
    shown = ', '.join(map(repr, names[:12])) + (',' if len(names) == 1 else '') + (', ...' if len(names) > 12 else '')
    return f'({shown})'


def classes_error(classes) -> Optional[str]:
    """What is wrong with `metainfo.classes` by itself, or None."""
    if isinstance(classes, str):
        return f'metainfo.classes is the string {classes!r}; it must be a tuple of names: ({classes!r},)'
    if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
        return f'metainfo.classes is {short(classes)}; it must be a tuple of names'
    if not classes:
        return 'metainfo.classes is empty; it must be a tuple of names'
    if twice := [name for name, times in Counter(classes).items() if times > 1]:
        return f'metainfo.classes has {twice[0]!r} more than once'
    return None
