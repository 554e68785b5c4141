"""What goes into the record of a run beside its results: time, commit, versions."""

import json
import os
import subprocess
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mmsterf.versions import REQUIRED

PACKAGES = ('torch', 'numpy', 'mmengine', 'mmcv', 'mmdet', 'mmsegmentation', 'spikingjelly')


class Clock:
    """CPU and wall seconds of a run over all its processes, one file each, so that a kill loses seconds at most."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.start = folder, time.time()
        self.file = folder / f'{int(self.start)}-{os.getpid()}.json'
        folder.mkdir(exist_ok=True)
        threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while True:
            self._write()
            time.sleep(5)

    def _write(self) -> None:
        part = self.file.with_suffix(f'.{threading.get_ident()}')
        part.write_text(json.dumps({'cpu': time.process_time(), 'wall': time.time() - self.start}))
        os.replace(part, self.file)

    def totals(self) -> dict:
        """Seconds of all processes so far, and how many there were."""
        self._write()
        times = [json.loads(file.read_text()) for file in self.folder.glob('*.json')]
        return {
            'cpu_s': round(sum(t['cpu'] for t in times), 1),
            'wall_s': round(sum(t['wall'] for t in times), 1),
            'processes': len(times),
        }


def commit() -> str:
    """Commit of the checkout that this package is of, with a + if it was changed; 'unknown' where it is of none."""

    def git(*arguments) -> str:
        command = ['git', '-C', str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    try:
        git('ls-files', '--error-unmatch', Path(__file__).name)  # else the checkout around an installation is meant
        return git('rev-parse', 'HEAD').strip() + ('+' if git('status', '--porcelain', '-uno').strip() else '')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def version_of(name: str) -> str:
    """Version of a package, or of the fork of it that is installed, which is named."""
    family = next((family for family in REQUIRED.values() if name in family), [name])
    for other in sorted(family, key=lambda other: other != name):
        try:
            return version(other) if other == name else f'{version(other)} of {other}'
        except PackageNotFoundError:
            continue
    return 'not installed'


def versions() -> dict:
    """Versions of all packages that results depend on, by name."""
    return {name: version_of(name) for name in PACKAGES}


def write_result(file: Path, result: dict) -> None:
    """Write a result; a killed process leaves none."""
    part = file.with_name(f'{file.name}.part')
    part.write_text(json.dumps(result))
    os.replace(part, file)
