"""Effective receptive field of an answer: which pixels, at which time step, moved this box, class or pixel.

The gradient of one score of a detector, segmentor or classifier with respect to its input, by step where the model
takes several; absolute values, averaged over colours, as in `mmsterf.erf`. The score of a box is what the model reports
for it (behind the RoI head, sigmoid or softmax), at the box as it is: proposals and what non-maximum suppression keeps
do not move. Source of such maps: Simonyan et al., "Deep Inside Convolutional Networks", ICLR workshop 2014.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional, Union

import numpy as np
import torch
from torch import Tensor, nn

from mmsterf.errors import InvalidInput

from .inputs import pack, samples_of
from .metrics import centred_box, entropy_coverage, moments
from .predictions import Boxes, predict
from .state import reset_neurons, untouched

FORMS = 'box:BEST, box:INDEX, class:NAME, pixel:ROW,COL or pixel:ROW,COL,CLASS'


class NoAnswer(InvalidInput):
    """The model has no such answer for this input; it may have one for another."""


class Target(NamedTuple):
    """What is asked for: `kind` box (`index` from the best), class (`name`) or pixel (`place`, and `name` or '')."""

    text: str
    kind: str
    index: int = 0
    name: str = ''
    place: tuple[int, int] = (0, 0)


def parse_target(text: str) -> Target:
    """Read one of `FORMS`.

    Raises:
        InvalidInput: If it is none of them.
    """
    kind, _, value = text.partition(':')
    if kind == 'box' and (value.upper() == 'BEST' or value.isdecimal()):
        return Target(text, kind, 0 if value.upper() == 'BEST' else int(value))
    if kind == 'class' and value:
        return Target(text, kind, name=value)
    parts = value.split(',', 2)
    if kind == 'pixel' and len(parts) >= 2 and all(p.strip().isdecimal() for p in parts[:2]):
        return Target(text, kind, name=''.join(parts[2:]).strip(), place=(int(parts[0]), int(parts[1])))
    raise InvalidInput(f'target must be {FORMS}, got {text!r}')


@dataclass
class Answer:
    """The receptive field of one answer for one input.

    Attributes:
        target: As asked for.
        label: Name of the class, its index where it has none.
        score: Of a box as reported, 0 to 1; the logit (of a class of a segmentor: its mean) of others.
        map: (T, H, W) float64, the absolute gradient by step of the input; T is 1 for an image.
        box: x1, y1, x2, y2 in input pixels, or None.
        pixel: (row, column), or None.
        region: (H, W) bool, the pixels predicted as the class, or None.
        sample: The input, (C, H, W) or (T, C, H, W), float32.
        notes: What a reader has to know, a sentence each.
    """

    target: str
    label: str
    score: float
    map: np.ndarray
    box: Optional[tuple[float, float, float, float]]
    pixel: Optional[tuple[int, int]]
    region: Optional[np.ndarray]
    sample: np.ndarray
    notes: tuple[str, ...] = ()

    def inside(self) -> Optional[np.ndarray]:
        """Return the pixels (H, W) bool that the answer is about: inside the box, or predicted as the class."""
        if self.box is None:
            return self.region
        x1, y1, x2, y2 = self.box
        rows, columns = np.ogrid[: self.map.shape[1], : self.map.shape[2]]
        return (rows >= np.floor(y1)) & (rows < np.ceil(y2)) & (columns >= np.floor(x1)) & (columns < np.ceil(x2))

    def centre(self) -> tuple[int, int]:
        """Return (row, column) of the pixel, the box's middle, or the image's middle."""
        h, w = self.map.shape[1:]
        if self.pixel:
            return self.pixel
        if self.box is None:
            return h // 2, w // 2
        x1, y1, x2, y2 = np.clip(self.box, 0, (w - 1, h - 1) * 2)  # random weights make boxes without end
        return int((y1 + y2) / 2), int((x1 + x2) / 2)

    def measure(self) -> dict[str, Union[str, float, list]]:
        """Return the numbers of the map, flat.

        Keys: target, label, score, box, pixel; inside, the share of the gradient on the pixels that the answer is
        about; side_50, area_50, side_99, area_99 (`centred_box` about `centre`); nonzero; radius, centroid_row,
        centroid_column; entropy_coverage; by_step, the share of each input step; notes.
        """
        a, about = self.map.mean(0), self.inside()
        out = {'target': self.target, 'label': self.label, 'score': self.score, 'box': self.box, 'pixel': self.pixel}
        total = a.sum()
        out['inside'] = float(a[about].sum() / total) if about is not None and total else float('nan')
        for share in (0.5, 0.99):
            side, area = centred_box(a, share, self.centre())
            out[f'side_{round(100 * share)}'], out[f'area_{round(100 * share)}'] = side, area
        out['nonzero'] = float((a > 0).mean())
        out['centroid_row'], out['centroid_column'], out['radius'] = moments(a)
        out['entropy_coverage'] = entropy_coverage(a)
        by_step = self.map.sum((1, 2))
        out['by_step'] = (by_step / (by_step.sum() or 1)).tolist()
        out['notes'] = '; '.join(self.notes)
        return out


def answers(
    model: nn.Module,
    sample: Tensor,
    targets: Sequence[Union[str, Target]],
    *,
    classes: Optional[Sequence[str]] = None,
    time_steps: int = 1,
    input_time: str = 'auto',
    signed: bool = False,
    missing: Optional[Callable[[NoAnswer], None]] = None,
) -> list[Answer]:
    """Return the receptive fields of answers of a model for one input; one forward pass serves them all.

    Args:
        model: An mmdet detector (two-stage, one-stage or with queries), an mmseg segmentor, or any module that gives
            (1, classes) or (1, classes, H, W). It is left as found.
        sample: (C, H, W) as behind the data preprocessor, or (T, C, H, W) with a frame per step.
        targets: Each one of `FORMS`. ``class:NAME`` is the best box of that class, the mean of its logits over the
            pixels that a segmentor predicts as it, or its logit; ``pixel:ROW,COL`` the logit of the predicted class
            there, with a class behind it of that one. Rows and columns are those of the input.
        classes: Names; indices do, too.
        time_steps, input_time: See `mmsterf.erf.st_erf`; images are shown at every step.
        signed: Take the positive part of the gradient, what raises the score where it grows.
        missing: Called with targets that have no answer for this input, which are then left out.

    Raises:
        InvalidInput: If a target is not valid for this model; the message names what is.
        NoAnswer: If there is none for this input, without `missing`.
    """
    targets = [parse_target(t) if isinstance(t, str) else t for t in targets]
    (sample,), _, input_time = samples_of([sample], input_time, time_steps)
    size, found = tuple(sample.shape[-2:]), []
    with untouched(model) as bare, torch.inference_mode(False), torch.enable_grad():
        like = next((p for p in bare.parameters() if p.is_floating_point()), torch.empty(0))
        x = pack([sample], input_time, like)
        reset_neurons(bare)
        given = predict(bare, x, size)
        for target in targets:
            try:
                score, facts = _pick(given, target, classes, type(bare).__name__)
            except NoAnswer as error:
                if missing is None:
                    raise
                missing(error)
                continue
            (grad,) = torch.autograd.grad(score, x, retain_graph=True)
            grad = (grad.relu() if signed else grad.abs()).double().reshape(-1, *sample.shape[-3:]).mean(1)
            notes = ()
            if not grad.isfinite().all():
                notes = (f'the gradient of {target.text} is not finite; if weights are random, give a checkpoint',)
            elif not grad.any():
                notes = (f'no gradient arrives from {target.text}: its score does not move',)
            shown = sample.detach().float().cpu().numpy()
            found.append(
                Answer(
                    target.text, score=float(score.detach()), map=grad.cpu().numpy(), sample=shown, notes=notes, **facts
                )
            )
    return found


def _pick(given, target: Target, classes: Optional[Sequence[str]], name: str) -> tuple[Tensor, dict]:
    """Return the score of a target and where it is."""
    facts = {'label': '', 'box': None, 'pixel': None, 'region': None}
    if isinstance(given, Boxes):
        return _pick_box(given, target, classes, name, facts)
    logits = given.values
    if target.kind == 'box' or (target.kind == 'pixel' and logits.ndim == 1):
        kind, valid = ('segmentor', 'class:NAME or pixel:ROW,COL') if logits.ndim == 3 else ('classifier', 'class:NAME')
        raise InvalidInput(f'target {target.text!r}: {name} is a {kind}, of which a target is {valid}')
    if logits.ndim == 1:
        label = _label(target, classes, len(logits))
        return logits[label], {**facts, 'label': _name(label, classes)}
    predicted = logits.detach().argmax(0)
    if target.kind == 'class':
        label = _label(target, classes, len(logits))
        region = predicted == label
        if not region.any():
            present = ', '.join(_name(int(k), classes) for k in predicted.unique())
            raise NoAnswer(f'target {target.text!r}: no pixel is predicted as {_name(label, classes)}, only {present}')
        return logits[label][region].mean(), {**facts, 'label': _name(label, classes), 'region': region.cpu().numpy()}
    row, column = target.place
    if row >= logits.shape[1] or column >= logits.shape[2]:
        raise InvalidInput(
            f'target {target.text!r}: the input has {logits.shape[1]} rows and {logits.shape[2]} columns, from 0'
        )
    label = _label(target, classes, len(logits)) if target.name else int(predicted[row, column])
    return logits[label, row, column], {**facts, 'label': _name(label, classes), 'pixel': (row, column)}


def _pick_box(given: Boxes, target: Target, classes, name: str, facts: dict) -> tuple[Tensor, dict]:
    if target.kind == 'pixel':
        raise InvalidInput(
            f'target {target.text!r}: {name} is a detector, of which a target is box:BEST, box:INDEX or class:NAME'
        )
    index, num = target.index, len(given.scores)
    best = ', '.join(
        f'{_name(int(k), classes)} {float(s):.2f}' for k, s in zip(given.labels[:5], given.scores[:5].detach())
    )
    if target.kind == 'class':
        known = len(classes) if classes else int(given.labels.max()) + 1 if num else 0
        if classes or not target.name.isdecimal():
            label = _label(target, classes, known)
        else:
            label = int(target.name)
        index = next((i for i, k in enumerate(given.labels.tolist()) if k == label), None)
        if index is None:
            others = f'; the best of {num} boxes: {best}' if num else ', nor any other'
            raise NoAnswer(
                f'target {target.text!r}: {name} found no box of {_name(label, classes)}{others} ({given.advice()})'
            )
    elif index >= num:
        found = f'{num} box{"es" * (num > 1)}, numbered from 0' if num else 'no box'
        raise NoAnswer(f'target {target.text!r}: {name} found {found} ({given.advice()})')
    facts['label'] = _name(int(given.labels[index]), classes)
    if given.corners is not None:
        facts['box'] = tuple(given.corners[index].double().tolist())
    return given.scores[index], facts


def _name(label: int, classes: Optional[Sequence[str]]) -> str:
    return str(classes[label]) if classes and label < len(classes) else str(label)


def _label(target: Target, classes: Optional[Sequence[str]], num: int) -> int:
    """Return the index of a class named by its name or index."""
    names = [str(c) for c in classes or ()]
    if target.name in names:
        return names.index(target.name)
    if target.name.isdecimal() and int(target.name) < num:
        return int(target.name)
    near = difflib.get_close_matches(target.name, names, 5)
    listed = ', '.join(names if len(names) <= 100 else near or names[:20]) + ', ...' * (len(names) > 100)
    valid = f'{listed} (or an index below {num})' if names else f'the indices 0 to {num - 1}'
    raise InvalidInput(f'target {target.text!r}: the model has no class {target.name!r}, it has {valid}')
