"""Does pretraining on single digits pay? pretraining.py [--tasks det seg] [--seeds 0 1 2] [--report].

For each task and seed three trainings: of the classifier, of the demo's model from nothing, and of the demo's model
from the classifier's backbone with fewer iterations, so that both take the same time, pretraining included. Each leaves
a line in RESULTS: metrics by seconds of CPU of one thread, validations not counted. Killed, the same command goes on:
finished trainings are kept. --report writes table and figure.
"""

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, check_versions, command_line
from mmsterf.study.pretraining import ITERS, METRICS, draw, specs, table, train, value


@command_line('finished trainings are kept, and the same command goes on')
def main(argv=None) -> None:
    """Do what is not done yet, or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tasks', nargs='+', choices=list(ITERS), default=list(ITERS), help='default: both')
    parser.add_argument('--seeds', nargs='+', type=arguments.seed, default=[0, 1, 2], metavar='N', help='default 0 1 2')
    parser.add_argument('--scenes', type=arguments.file_name, default='data/digit_scenes', help='made before')
    parser.add_argument('--pictures', type=arguments.file_name, default='data/digit_pictures', help='made before')
    parser.add_argument('--out', type=arguments.file_name, default='work_dirs/study/pretraining')
    parser.add_argument('--results', type=arguments.file_name, default='docs/study/pretraining.jsonl')
    parser.add_argument('--figure', type=arguments.file_name, default='docs/images/pretraining.png')
    parser.add_argument('--wrap', default='', metavar='COMMAND', help="put in front of each training's command")
    parser.add_argument('--report', action='store_true', help='write the figure and print the table, and train nothing')
    args = parser.parse_args(argv)
    check_versions()
    from mmsterf.errors import InvalidInput
    from mmsterf.study.results import append_results, read_results

    results = Path(args.results)
    if args.report:
        lines = read_results(results)
        if not any(line['start'] != 'classifier' for line in lines):
            raise InvalidInput(f'--results {results}: holds no trainings from nothing or pretrained yet')
        draw(lines, Path(args.figure))
        print(table(lines))
        return
    out = Path(args.out).absolute()
    folders = (str(Path(folder).absolute()) for folder in (args.scenes, args.pictures))
    for spec in specs(args.tasks, args.seeds, *folders, out):
        if (spec['run'], spec['iters']) in {(line['run'], line['iters']) for line in read_results(results)}:
            continue
        result = train(spec, out / spec['run'], args.wrap)
        shown = {
            METRICS[key]: round(value(result['points'][-1], key), 3) for key in METRICS if key in result['points'][-1]
        }
        print(f'{spec["run"]}: {shown} after {result["cpu_s"]:.0f} s of CPU', flush=True)
        append_results(results, [{'key': spec['run'], **result}])


if __name__ == '__main__':
    main()
