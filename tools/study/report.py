"""Tables and figures of a study: report.py [RESULTS] [--merge FILE ...].

Reads result lines of run.py and writes OUT/tables.md, which docs/study.md shows, and OUT/../images/study_*.png: per
factor and task mean and standard deviation over seeds, differences to the first value of the study file, paired by
seed, with bootstrap intervals, and the rank correlation of early receptive fields and accuracy. Of lines of one run the
newest counts, and all runs of a table are of its newest settings; others are left out, and said. --merge first adds
lines of other files that are not in RESULTS yet.
"""

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, command_line


@command_line('nothing was merged or written')
def main(argv=None) -> None:
    """Merge, then write tables and figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'results', nargs='?', default='docs/study/results.jsonl', type=arguments.file_name,
        help='result lines (default docs/study/results.jsonl)',
    )  # fmt: skip
    parser.add_argument('--merge', nargs='+', default=[], metavar='FILE', help='result lines to add first')
    parser.add_argument('--out', type=arguments.file_name, help='folder of tables.md, that of RESULTS by default')
    args = parser.parse_args(argv)
    from mmsterf.errors import InvalidInput
    from mmsterf.study.results import append_results, read_results
    from mmsterf.study.tables import write_report

    file, out = Path(args.results), Path(args.out or Path(args.results).parent)
    for name in args.merge:
        if not Path(name).is_file():
            raise InvalidInput(f'--merge {name}: no such file')
    present = {(r['run'], r['key']) for r in read_results(file)}
    new = {(r['run'], r['key']): r for name in args.merge for r in read_results(Path(name))}
    added = [result for key, result in new.items() if key not in present]
    if added:
        append_results(file, added)
    if args.merge:
        print(f'{file}: {len(added)} lines added, {len(present) + len(added)} in all')
    results = read_results(file)
    if not results:
        raise InvalidInput(f'RESULTS {file}: holds no result lines; run.py writes them, --merge adds them')
    for written in write_report(results, out):
        print(written)


if __name__ == '__main__':
    main()
