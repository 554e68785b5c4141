"""Run a study: run.py STUDY [--jobs N] [--resume] [--only FACTOR].

Each run is a training by mmsterf's own machinery in a process of its own, and leaves one line in OUT/results.jsonl:
what was varied, metrics, receptive fields, saturation, sizes, times, commit. Killed at any moment, the same command
with --resume goes on: finished runs are kept, an unfinished one goes on from its last checkpoint.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from tqdm import tqdm

from mmsterf.engine import arguments, check_versions, command_line

ROOT = Path(__file__).resolve().parents[2]


def make_data(runs: list, root: Path) -> None:
    """Make the scenes that runs need, unless they are there."""
    for folder, (maker, options) in {run.data_folder: (run.maker, run.data_options) for run in runs}.items():
        tool = ROOT / 'tools' / 'dataset_converters' / maker
        subprocess.run([sys.executable, str(tool), '--out', str(root / folder), *shlex.split(options)], check=True)


def run_process(run, folder: Path, data_root: Path, started: list, wrap: str) -> dict:
    """Run one run in a process of its own; returns its result, or {'error': last line it printed}.

    What an earlier training of other settings left in the folder is removed.
    """
    spec = {
        **asdict(run), 'run': run.name, 'key': run.key, 'task_key': run.task_key,
        'data_root': str(data_root / run.data_folder),
    }  # fmt: skip
    file = folder / 'run.json'
    if file.is_file() and json.loads(file.read_text()).get('key') != run.key:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(spec))
    script = Path(__file__).with_name('one_run.py')
    command = [*shlex.split(wrap), sys.executable, '-W', 'ignore', str(script), str(folder)]
    with (folder / 'log.txt').open('a') as log:
        environment = {**os.environ, 'PYTHONUNBUFFERED': '1'}
        # A group of its own, so that what --wrap starts ends with it.
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        started.append(process)
        process.wait()
    if process.returncode == 0 and (folder / 'result.json').is_file():
        return json.loads((folder / 'result.json').read_text())
    lines = [line for line in (folder / 'log.txt').read_text().splitlines() if line.strip()]
    return {'error': lines[-1] if lines else f'exit status {process.returncode}'}


def named(result: dict, run) -> dict:
    """A result under the name that a run has; `same_as` names the run that was done."""
    if result['run'] == run.name:
        return result
    own = {'run': run.name, 'factor': run.factor, 'value': run.value, 'values': run.values, 'task_key': run.task_key}
    return {'same_as': result['run'], **result, **own}


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
    from study import Study, append_results, locked, read_results

    from mmsterf.engine.outputs import check_writable
    from mmsterf.errors import InvalidInput

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

    started, failed, elsewhere = [], {}, 0
    bar = tqdm(total=len(runs), initial=len(runs) - len(todo), desc=study.name, unit='run', smoothing=0.1)

    # The same training under another factor's name is not done twice.
    same: dict = {}
    for run in todo:
        same.setdefault(run.key, []).append(run)

    def work(runs):
        key, folder = runs[0].key, out / 'runs' / runs[0].name
        with locked(folder, wait=False) as mine:
            # Another run.py may have done it by now, or be at it.
            for result in read_results(file) if mine else ():
                if result['key'] == key:
                    return result
            return run_process(runs[0], folder, data, started, args.wrap) if mine else {}

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that runs are ended too
    pool = ThreadPoolExecutor(args.jobs)
    try:
        waiting = {pool.submit(work, runs): runs for runs in same.values()}
        for future in as_completed(waiting):
            alike, result = waiting.pop(future), future.result()
            bar.update(len(alike))
            bar.set_postfix_str(alike[0].name)
            if 'error' in result:
                failed[alike[0].name] = result['error']
                bar.write(f'{alike[0].name} failed: {result["error"]}')
                continue
            if not result:
                elsewhere += len(alike)
                continue
            present = {(r['run'], r['key']) for r in read_results(file)}
            append_results(file, [named(result, run) for run in alike if (run.name, run.key) not in present])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        bar.close()
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
