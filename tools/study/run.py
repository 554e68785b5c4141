"""Run a study: run.py STUDY [--jobs N] [--resume] [--only FACTOR].

Each run is a training by mmsterf's own machinery in a process of its own, and leaves one line in OUT/results.jsonl:
what was varied, metrics, receptive fields, saturation, sizes, times, commit. Killed at any moment, the same command
with --resume goes on: finished runs are kept, an unfinished one goes on from its last checkpoint.
"""

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from tqdm import tqdm

from mmsterf.engine import arguments, check_versions, command_line


def parse_args(argv=None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('study', metavar='STUDY', type=arguments.file_name, help='study file, configs/study/*.py')
    parser.add_argument('--jobs', type=arguments.count, default=1, metavar='N', help='runs at a time (default 1)')
    parser.add_argument('--resume', action='store_true', help='go on where an earlier call ended')
    parser.add_argument(
        '--only', default='', metavar='FACTOR', help='the runs of one factor, or of one of its tasks: FACTOR-TASK'
    )
    parser.add_argument(
        '--out', type=arguments.file_name, help='folder of results, work_dirs/study/STUDY_NAME by default'
    )
    parser.add_argument(
        '--data', type=arguments.file_name, default='data/study', help='folder of scenes (default data/study)'
    )
    parser.add_argument(
        '--wrap', default='', metavar='COMMAND', help="put in front of each run's command: 'nice -n 19', a scheduler's"
    )
    parser.add_argument('--list', action='store_true', help='list the runs and their state, and do nothing')
    return parser.parse_args(argv)


@command_line('finished runs are kept, and the same command with --resume goes on')
def main(argv=None) -> None:
    """Run what is not finished, and say what failed."""
    args = parse_args(argv)
    check_versions()
    from mmsterf.engine.outputs import check_writable
    from mmsterf.errors import InvalidInput
    from mmsterf.study.processes import make_data, run_all
    from mmsterf.study.results import read_results
    from mmsterf.study.studies import Study

    study = Study(args.study)
    runs = study.runs(args.only)
    out, data = Path(args.out or f'work_dirs/study/{study.name}'), Path(args.data).absolute()
    file = out / 'results.jsonl'
    results = {result['run']: result for result in read_results(file)}
    todo = [run for run in runs if run.name not in results or results[run.name]['key'] != run.key]
    if args.list:
        for run in runs:
            print(f'{run.name}: {"to do" if run in todo else "finished"}')
        return
    check_writable('--out', out)
    check_writable('--data', data)
    if results and not args.resume:
        raise InvalidInput(
            f'--out {out}: holds results of {len(results)} runs; go on with --resume, or choose another folder'
        )
    make_data(todo, data)

    with tqdm(total=len(runs), initial=len(runs) - len(todo), desc=study.name, unit='run', smoothing=0.1) as bar:
        failed, elsewhere = run_all(todo, out, data, args.jobs, args.wrap, bar)
    if failed:
        name, text = next(iter(failed.items()))
        raise InvalidInput(
            f'{len(failed)} of {len(runs)} runs failed, the first one {name}: {text} '
            f'(see {out / "runs" / name / "log.txt"}; --resume tries again)'
        )
    print(f'{file}: {len(runs) - elsewhere} runs of {study.name}')
    if elsewhere:
        print(f'{elsewhere} more are being done by another run.py')


if __name__ == '__main__':
    main()
