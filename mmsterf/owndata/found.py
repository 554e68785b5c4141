"""What was found in a folder of own data, in the terms of a config."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Found:
    """Data that can be trained on.

    Attributes:
        task (str): 'det', 'seg' or 'cls'.
        form (str): Name of the format, for people.
        root (Path): Folder that everything in a config is relative to.
        classes (list[str]): Names, in order.
        splits (dict): 'train' and 'val' to arguments of their data set (ann_file, data_prefix, suffixes).
        counts (dict): 'train' and 'val' to numbers of images.
        objects (dict): 'train' and 'val' to {class: objects}, where they are objects.
        sizes (list): (width, height) of images to train on.
        boxes (list): (width, height, longer side of the image) of objects to train on.
        masks (bool): Whether all objects have masks.
        files (dict): New files to write: names in the new folder to text or a function that takes the path.
        notes (list[str]): What was changed, left out or is odd.
    """

    task: str
    form: str
    root: Path
    classes: list = field(default_factory=list)
    splits: dict = field(default_factory=dict)
    counts: dict = field(default_factory=dict)
    objects: dict = field(default_factory=dict)
    sizes: list = field(default_factory=list)
    boxes: list = field(default_factory=list)
    masks: bool = False
    files: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    palette: list = None
