"""Runs of a study in processes of their own."""

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

from mmsterf.zoo import ROOT

from .results import append_results, locked, read_results

TOOLS = ROOT.resolve() / 'tools'


def make_data(runs: list, root: Path) -> None:
    """Make the scenes that runs need, unless they are there."""
    for folder, (maker, options) in {run.data_folder: (run.maker, run.data_options) for run in runs}.items():
        tool = TOOLS / 'dataset_converters' / maker
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
    script = TOOLS / 'study' / 'one_run.py'
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


def run_all(todo: list, out: Path, data: Path, jobs: int, wrap: str, bar) -> tuple:
    """Run runs, and add their results to OUT/results.jsonl as they end; what is running ends with this process.

    Args:
        todo: Runs; those of one key are one training, which is not done twice.
        out: Folder of results.
        data: Folder of scenes, which are there.
        jobs: Runs at a time.
        wrap: Put in front of each run's command.
        bar: Progress bar of tqdm.

    Returns:
        ({name: error} of runs that failed, number of runs that another process is at).
    """
    file, started, failed, elsewhere = out / 'results.jsonl', [], {}, 0
    same: dict = {}
    for run in todo:
        same.setdefault(run.key, []).append(run)

    def work(runs):
        key, folder = runs[0].key, out / 'runs' / runs[0].name
        with locked(folder, wait=False) as mine:
            # Another process may have done it by now, or be at it.
            for result in read_results(file) if mine else ():
                if result['key'] == key:
                    return result
            return run_process(runs[0], folder, data, started, wrap) if mine else {}

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that runs are ended too
    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = {pool.submit(work, runs): runs for runs in same.values()}
        for future in as_completed(waiting):
            alike, result = waiting.pop(future), future.result()
            bar.update(len(alike))
            bar.set_postfix_str(alike[0].name)
            if 'error' in result:
                failed[alike[0].name] = result['error']
                bar.write(f'{alike[0].name} failed: {result["error"]}')
            elif not result:
                elsewhere += len(alike)
            else:
                present = {(r['run'], r['key']) for r in read_results(file)}
                append_results(file, [named(result, run) for run in alike if (run.name, run.key) not in present])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
    return failed, elsewhere


def named(result: dict, run) -> dict:
    """A result under the name that a run has; `same_as` names the run that was done."""
    if result['run'] == run.name:
        return result
    own = {'run': run.name, 'factor': run.factor, 'value': run.value, 'values': run.values, 'task_key': run.task_key}
    return {'same_as': result['run'], **result, **own}
