"""Folders of made data: there whole or not at all, kept where the settings are the same, never replaced unasked."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Callable

META = 'meta.json'
"""File of a made folder with the settings that it was made with."""
STALE_SECONDS = 24 * 3600


def make_folder(
    out: Path, meta: dict, write: Callable[[Path], None], force: bool = False, defaults: dict | None = None
) -> bool:
    """Make a folder, unless it is there already.

    Args:
        out: Folder to make; its parents are made too.
        meta: Settings, as JSON has them; written to `META`.
        write: Fills the folder that it is given, which is not `out` yet.
        force: Replace a folder that was made with other settings (or with the same).
        defaults: Settings that folders made before may not name.

    Returns:
        Whether it was made; False if it was there with the same settings.

    Raises:
        FileExistsError: `out` holds something else.
    """
    out = Path(out).resolve()  # so that a link to a larger disk stays a link
    meta = json.loads(json.dumps(meta))
    if _is_there(out, meta, force, defaults or {}):
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(out)
    work = Path(tempfile.mkdtemp(prefix=f'.{out.name}.partial-', dir=out.parent))
    try:
        new = work / 'new'
        new.mkdir()
        write(new)
        (new / META).write_text(json.dumps(meta) + '\n')
        if _is_there(out, meta, force, defaults or {}):  # another run was faster
            return False
        if out.exists():
            out.rename(work / 'old')
        new.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return True


def _is_there(out: Path, meta: dict, force: bool, defaults: dict) -> bool:
    """Whether `out` is what is wanted; raises if it is something that must not be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = {**defaults, **json.loads((out / META).read_text())}
        found = {key: found[key] for key in meta}
    except (OSError, ValueError, KeyError, TypeError):
        raise FileExistsError(
            f'{out} exists and was not made by this tool: choose another --out, or remove it yourself'
        ) from None
    if force:
        return False
    if found == meta:
        return True
    changed = [key for key in meta if found[key] != meta[key]]
    raise FileExistsError(
        f'{out} was made with {_spell(found, changed)}, but {_spell(meta, changed)} is asked for: '
        'choose another --out, or replace it with --force'
    )


def _spell(meta: dict, keys: list[str]) -> str:
    values = {key: meta[key] if isinstance(meta[key], list) else [meta[key]] for key in keys}
    return ', '.join(f'{key} {" ".join(map(str, value))}' for key, value in values.items())


def _remove_stale(out: Path) -> None:
    """Remove what runs left that were killed too hard to tidy up (long ago: another run may be at work)."""
    for left in out.parent.glob(f'.{out.name}.partial-*'):
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
