"""Runs cases in processes that are forked from one that has imported the libraries, and judges how they end."""

import hashlib
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests/test_tools'), str(ROOT)]

from cases import Case  # noqa: E402
from tiny_tasks import ON_CPU, write_task  # noqa: E402

SECONDS = 60
ALLOWED = ('out', 'work_dirs')
"""What a run may leave: its work dir with a log, if it came that far."""
FOUND = ('.log', '.py', '.json')
"""What a work dir may hold after a failure: logs, and the config; no half-written results."""

WARNED = ('annotations: ', 'label map: ')
"""Kinds of which a warning that names the file is enough."""


class Fuzz:
    """Tiny tasks to run cases on; a context manager."""

    def __enter__(self) -> 'Fuzz':
        os.environ.update(ON_CPU)
        import torch

        torch.set_num_threads(1)
        from mmengine.config import Config
        from mmengine.registry import MODELS, DefaultScope

        import mmsterf.engine.cli
        import mmsterf.hooks
        import mmsterf.models  # noqa: F401

        self.folder = Path(tempfile.mkdtemp(prefix='fuzz_'))
        self.template = self.folder / 'template'
        for task in ('detection', 'segmentation'):
            source = self.folder / task
            source.mkdir()
            write_task(source, task)
            shutil.copytree(source / 'data', self.template / 'data', dirs_exist_ok=True)
            config = (source / f'{task}.py').read_text().replace(str(source / 'data'), 'data')
            (self.template / f'{task}.py').write_text(config.replace('num_workers=1', 'num_workers=0').replace(
                'persistent_workers=True', 'persistent_workers=False'
            ))  # fmt: skip
        before = os.getcwd()
        os.chdir(self.template)
        for name, task, scope in (('good', 'detection', 'mmdet'), ('seg', 'segmentation', 'mmseg')):
            with DefaultScope.overwrite_default_scope(scope):
                model = MODELS.build(Config.fromfile(f'{task}.py').model)
            torch.save({'state_dict': model.state_dict(), 'meta': {}}, f'{name}.pth')
        torch.save({'state_dict': {'a': torch.ones(1)}}, 'weights.pth')
        os.chdir(before)
        return self

    def __exit__(self, *_) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, case: Case) -> tuple:
        """Run a case; returns (problem or '', the last lines)."""
        place = self.folder / 'case'
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.template, place)
        if case.prepare:
            case.prepare(place)
        before = _contents(place)
        log = self.folder / 'log'
        if case.tool.endswith('.sh'):
            status, took = self._script(case, place, log)
        else:
            status, took = self._fork(case, place, log)
        text = log.read_text(errors='replace')
        return self._judge(case, status, took, text, before, _contents(place)), text[-600:]

    def _script(self, case: Case, place: Path, log: Path) -> tuple:
        started = time.monotonic()
        env = {**os.environ, 'PYTHON': sys.executable, **case.processes}
        with log.open('w') as file:
            command = ['bash', str(ROOT / 'tools' / case.tool), *case.arguments]
            try:
                status = subprocess.run(
                    command, cwd=place, env=env, stdout=file, stderr=file, timeout=SECONDS
                ).returncode
            except subprocess.TimeoutExpired:
                status = -9
        return status, time.monotonic() - started

    def _fork(self, case: Case, place: Path, log: Path) -> tuple:
        sys.stdout.flush()
        sys.stderr.flush()
        started = time.monotonic()
        child = os.fork()
        if not child:
            _child(case, place, log)
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() - started > SECONDS:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.01)
        return os.waitstatus_to_exitcode(status), time.monotonic() - started

    def _judge(self, case: Case, status: int, took: float, text: str, before: dict, after: dict) -> str:
        lines = [line for line in text.splitlines() if line.strip()]
        # A list below the line belongs to it.
        start = len(lines) - 1
        while start > 0 and lines[start].startswith(' '):
            start -= 1
        last = '\n'.join(lines[start:]) if lines else ''
        if took > SECONDS:
            return f'took more than {SECONDS} s'
        if status < 0:
            return f'killed by signal {-status}'
        if status == 0:
            # What training can leave out, it does, and says so.
            said = any('WARNING' in line and any(name in line for name in case.names) for line in lines)
            harmless = case.name.startswith('mutation')
            return '' if harmless or (said and case.name.startswith(WARNED)) else 'exit status 0'
        if 'Traceback (most recent call last)' in text:
            return 'a traceback'
        if 'weights_only=False' in text:
            return "torch's advice to load without weights_only"
        if 'error: ' not in lines[start] and not lines[start].startswith('usage: '):
            return f'the last line is no error: {last[:100]!r}'
        if case.names and not any(name in last for name in case.names):
            return f'names none of {", ".join(case.names)}'
        if gone := [name for name in before if before[name] != after.get(name)]:
            return f'changed or lost: {", ".join(gone[:3])}'
        new = [name for name in after if name not in before]
        left = [n for n in new if Path(n).parts[0] not in ALLOWED or Path(n).suffix not in FOUND]
        return f'left: {", ".join(left[:3])}' if left else ''


def _contents(folder: Path) -> dict:
    files = (path for path in folder.rglob('*') if path.is_file() and '__pycache__' not in path.parts)
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def _child(case: Case, place: Path, log: Path) -> None:
    """Be the tool, and end without what this process inherited."""
    status = 70
    try:
        with log.open('w') as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        os.chdir(place)
        script = str(ROOT / 'tools' / f'{case.tool}.py')
        sys.argv = [script, *case.arguments]
        sys.stdout = os.fdopen(1, 'w', buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, 'w', buffering=1, closefd=False)
        try:
            runpy.run_path(script, run_name='__main__')
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def run_all(cases: Iterable, failures: Optional[Path] = None, say=print) -> tuple:
    """Run cases; returns (passed, all, failures), and says the pass rate last."""
    found, count = [], 0
    with Fuzz() as fuzz:
        for case in cases:
            count += 1
            problem, text = fuzz.run(case)
            if problem:
                lines = ' | '.join(line for line in text.splitlines()[-2:])
                found.append(f'{case.tool} {" ".join(case.arguments)[:160]} [{case.name}]: {problem}: {lines[-300:]}')
                say(f'failed: {found[-1]}', flush=True)
                if failures:
                    failures.write_text('\n'.join(found) + '\n')
    say(f'fuzz: {count - len(found)} of {count} passed: one clear last line, no traceback, nothing left or lost')
    return count - len(found), count, found
