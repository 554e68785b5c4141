"""Published checkpoint to mmsterf's names, or back: published_to_mmsterf.py SRC DST [--help]."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.checkpoint import convert, drop_heads, read, state_dict_of, to_published, write
from mmsterf.checkpoint.families import FAMILIES
from mmsterf.checkpoint.io import data_set_meta
from mmsterf.engine import arguments, command_line
from mmsterf.engine.outputs import check_new_file


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Convert one file, and say what it was."""
    parser = argparse.ArgumentParser(
        description='Convert a published checkpoint (ImageNet classifier, detector, segmentor, or bare state dict) to '
        "mmsterf's names. Every tensor must be known, there, and of the right shape."
    )
    parser.add_argument('src', help='checkpoint to read')
    parser.add_argument('dst', type=arguments.file_name, help='file to write')
    parser.add_argument('--to-published', action='store_true', help="the other way: from mmsterf's names")
    parser.add_argument('--family', choices=FAMILIES, help='backbone of SRC, where --to-published cannot tell it')
    parser.add_argument('--skip-head', action='store_true', help='leave out the classifier of an ImageNet model')
    parser.add_argument('--force', action='store_true', help='overwrite DST')
    args = parser.parse_args(argv)
    check_new_file('DST', args.dst, args.force)
    checkpoint = read(args.src)
    state = state_dict_of(checkpoint)
    dropped = []
    if args.skip_head:
        state, dropped = drop_heads(state)
    if args.to_published:
        published = to_published(state, args.family)
        _, description = convert(published)
        # Where the public code looks for weights: ImageNet models below `model`, others as mmengine has it.
        key = 'model' if description.model in ('backbone', 'classifier') else 'state_dict'
        result = {key: published}
    else:
        state, description = convert(state)
        result = {'state_dict': state}
    write({**result, 'meta': data_set_meta(checkpoint)}, args.dst, args.force)
    print(description)
    if dropped:
        print(f'left out: {", ".join(dropped)}')
    print(f'written: {args.dst}')


if __name__ == '__main__':
    main()
