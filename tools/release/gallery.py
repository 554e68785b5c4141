"""Let the tools draw what they draw, small, and put it on one sheet with docs/images: gallery.py [--out FOLDER].

Detector and segmentor are those of the package (weights/), on scenes of digits that are made for it. Minutes on a CPU.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.__main__ import main as mmsterf
from mmsterf.engine import arguments, check_versions, command_line

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / 'docs' / 'images'
CELL = 720
"""Side of a picture in the sheet, pixels: somewhat less than the width of a page."""
DET, SEG = (
    (str(ROOT / 'configs' / f'{name}.py'), str(ROOT / 'weights' / f'{name}.pth'))
    for name in ('mask_rcnn_sdt_mlpixer_digits', 'semantic_fpn_sdt_mlpixer_digits')
)


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=arguments.file_name, default='work_dirs/gallery', help='folder')
    parser.add_argument('--only-docs', action='store_true', help='the sheet of docs/images alone')
    return parser.parse_args(argv)


def commands(out: Path, scenes: Path, events: Path) -> Iterator[list]:
    """What is run, as on the command line, each with a folder or file of its own."""
    pictures = [str(path) for path in sorted((scenes / 'coco' / 'val2017').iterdir())[:2]]
    recording = next(path for path in sorted(events.rglob('scene_*')) if '_bbox' not in path.stem)
    wide = ['--size', '96', '240']
    quick = ['--num', '2', '--calibrate', '2']
    small = ['--cfg-options', 'model.backbone.arch.depths=(1,1,1,1,1)']
    yield ['digit-scenes', '--out', out / 'more_scenes', '--train', '1', '--val', '1', '--preview', out / 'scenes.png']
    yield ['browse', DET[0], '--num', '4', '--out', out / 'browse_detection.png']
    yield ['browse', SEG[0], '--num', '4', '--out', out / 'browse_segmentation.png']
    yield ['predict', *DET, *pictures, '--out', out / 'predict_detection']
    yield ['predict', *SEG, *pictures, '--out', out / 'predict_segmentation']
    yield ['energy', *DET, '--input', *pictures, '--out', out / 'energy']
    yield ['st-erf', *DET, '--num', '2', '--out', out / 'st_erf']
    yield ['st-erf', DET[0], SEG[0], *quick, *wide, '--out', out / 'st_erf_landscape']
    yield ['st-erf', *DET, '--input', pictures[0], '--target', 'box:BEST', '--out', out / 'st_erf_box']
    yield ['st-erf', *SEG, '--input', pictures[0], '--target', 'class:background', '--out', out / 'st_erf_class']
    over_time = str(ROOT / 'configs' / 'semantic_fpn_sdtv2_digits.py')
    yield ['st-erf', over_time, *quick, '--out', out / 'st_erf_over_time', *small]
    settings = ['--depths', '4', '--kernels', '3', '--neurons', 'LIF', '--surrogates', 'Sigmoid', '--num', '2']
    yield ['st-erf-cnn', *settings, '--size', '32', '80', '--out', out / 'st_erf_cnn']
    yield ['draw-events', str(recording), '--out', out / 'events.gif']


def draw_colours(file: Path) -> None:
    """Draw the colours of classes and lines on dark and on light ground, as four kinds of eyes see them."""
    import numpy as np
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

    from mmsterf.palette import INK, LINES, MARKERS, as_seen, class_colours

    figure = Figure(figsize=(9.4, 5), layout='constrained')
    axes = figure.subplots(4, 2, width_ratios=(2, 1))
    classes = as_seen(class_colours(12)) / 255
    lines = as_seen(np.multiply([to_rgb(line) for line in LINES], 255)) / 255
    for row, eyes in enumerate(('normal', 'protanope', 'deuteranope', 'tritanope')):
        left, right = axes[row]
        for ground, y in (('#282828', 1), ('white', 0)):
            left.axhspan(y - 0.5, y + 0.5, color=ground)
            left.scatter(range(12), [y] * 12, c=classes[row], marker='s', s=330)
        for i, colour in enumerate(lines[row]):
            right.plot([0, 1, 2], np.array([0, 0.6, 0.3]) + 0.25 * i, color=colour, marker=MARKERS[i])
        left.set_ylabel(eyes, color=INK)
        for ax in (left, right):
            ax.set(xticks=[], yticks=[])
    figure.savefig(file, dpi=100)


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    check_versions()
    import numpy as np
    from PIL import Image
    from tqdm import tqdm

    from mmsterf.erf import replace_file
    from mmsterf.inference.sheet import cell, sheet

    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    if not args.only_docs:
        scenes, events = out / 'data' / 'scenes', out / 'data' / 'events'
        mmsterf(['digit-scenes', '--out', str(scenes), '--train', '8', '--val', '4', '--force'])
        mmsterf(['make-event-scenes', '--out', str(events), '--train', '1', '--val', '1', '--force'])
        os.environ['MMSTERF_DIGITS_ROOT'] = str(scenes.resolve())
        for command in tqdm(list(commands(out, scenes, events)), desc='gallery', unit='tool'):
            mmsterf([*map(str, command), '--force'])
        replace_file(out / 'colours.png', draw_colours)
    made = [path for path in sorted(out.rglob('*.*')) if path.suffix in ('.png', '.jpg') and path.stem != 'sheet']
    made = [path for path in made if not {'data', 'more_scenes', 'label_maps'} & set(path.relative_to(out).parts)]
    files = [*sorted(IMAGES.glob('*.png')), *(made if not args.only_docs else ())]
    cells = []
    for path in files:
        picture = np.asarray(Image.open(path).convert('RGB'))
        name = path.relative_to(ROOT if path.is_relative_to(IMAGES) else out)
        cells.append(cell(picture, str(name), CELL))
    picture = Image.fromarray(sheet(cells))
    replace_file(out / 'sheet.png', lambda part: picture.save(part, 'PNG'))
    print(f'{out}/sheet.png: {len(cells)} figures, {picture.width} x {picture.height} pixels')


if __name__ == '__main__':
    main()
