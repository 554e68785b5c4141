"""All bad inputs, and samples of them."""

import random

import cases
import event_tools
import own_data
import picture_tools
from cases import Case

KINDS = (
    cases.configs, cases.options, cases.numbers, cases.devices, cases.annotations, cases.pictures, cases.checkpoints,
    cases.outputs, cases.classes, cases.arguments, picture_tools.predicting, picture_tools.browsing,
    picture_tools.exporting, event_tools.drawing, event_tools.labelling,
    own_data.owning,
)  # fmt: skip


def all_cases() -> list[Case]:
    """Every case, in a fixed order."""
    return [case for kind in KINDS for case in kind()]


def sample(count: int, seed: int = 0) -> list:
    """A part of the cases: some of each kind."""
    rng = random.Random(seed)
    by_kind = [list(kind()) for kind in KINDS]
    whole = sum(map(len, by_kind))
    return [c for cases in by_kind for c in rng.sample(cases, max(2, len(cases) * count // whole))]
