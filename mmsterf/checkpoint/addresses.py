"""Checkpoints at addresses: http(s) and `hf://owner/repo/file` of Hugging Face, fetched once and kept."""

import hashlib
import os
import re
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Optional, Union
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlparse

import torch

from mmsterf.errors import InvalidInput, shortened

SCHEMES = ('http://', 'https://', 'hf://')
"""What is fetched here; mmengine has more (`s3://`, `torchvision://`), which are left to it."""

_HASH = re.compile(r'-([0-9a-f]{8,64})\.[^.]*$')
"""How PyTorch and OpenMMLab name files: the first digits of their SHA-256 behind the last dash."""


def is_address(path: str) -> bool:
    """Whether a checkpoint is to be fetched from an address."""
    return str(path).startswith(SCHEMES)


def is_of_mmengine(path: str) -> bool:
    """Whether a checkpoint is at an address that mmengine alone knows (`s3://`, `torchvision://`, ...)."""
    return '://' in str(path) and not is_address(path)


def local_file(path: str) -> Path:
    """The file of a checkpoint, fetched if it is at an address and not kept yet.

    Files of http(s) addresses are kept where PyTorch keeps its own, below `torch.hub.get_dir()`, those of Hugging Face
    where huggingface_hub keeps them. Of fetched and kept ones size and SHA-256 are said once in a process; digits of it
    in the name (`model-1a2b3c4d.pth`) must be right.

    Args:
        path (str): File, http(s) address, or `hf://owner/repo[@revision]/file`.

    Raises:
        InvalidInput: If it cannot be fetched, or is not the file that its name says.
    """
    path = str(path)
    if not is_address(path):
        return Path(path).expanduser()
    if path.startswith('hf://'):
        return _said(path, _from_hugging_face(path))
    file = kept_at(path)
    with _alone(file):  # one of the processes on this machine fetches
        if not file.is_file():
            _fetch(path, file)
    return _said(path, file)


def kept_at(address: str) -> Path:
    """Where the file of an http(s) address is kept.

    Names with a hash are kept as PyTorch does, and found if it has fetched them. Others may be of many files
    (`model.pth`), so that their address is in the path, too.
    """
    name = Path(unquote(urlparse(address).path)).name or 'checkpoint.pth'
    folder = Path(torch.hub.get_dir(), 'checkpoints')
    if not _hash_in(name):
        folder /= hashlib.sha256(address.encode()).hexdigest()[:12]
    return folder / name


def _hash_in(name: str) -> Optional[str]:
    found = _HASH.search(name)
    return None if found is None or found[1].isdigit() else found[1]  # digits alone are a date most likely


def _fetch(address: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(address, str(file))  # to another name first
    except HTTPError as error:
        raise InvalidInput(f'{address} cannot be fetched: the server answers {error.code} {error.reason}') from error
    except URLError as error:
        raise InvalidInput(f'{address} cannot be fetched: {error.reason}') from error
    except (ConnectionError, HTTPException, TimeoutError, ValueError) as error:
        raise InvalidInput(f'{address} cannot be fetched: {shortened(str(error)) or type(error).__name__}') from error


def _from_hugging_face(address: str) -> Path:
    owner, _, rest = address.removeprefix('hf://').partition('/')
    repository, _, name = rest.partition('/')
    repository, _, revision = repository.partition('@')
    if not (owner and repository and name):
        raise InvalidInput(
            f'{address}: addresses of Hugging Face are hf://owner/repo/file or hf://owner/repo@revision/file'
        )
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise InvalidInput(
            f'{address} needs the package huggingface_hub, which is not installed; or give the https address of '
            'the file'
        ) from error
    try:
        return Path(hf_hub_download(f'{owner}/{repository}', unquote(name), revision=revision or None))
    except Exception as error:  # of several libraries, as its version is
        reason = shortened(str(error), 200) or type(error).__name__
        raise InvalidInput(f'{address} cannot be fetched: {reason}') from error


@contextmanager
def _alone(file: Path):
    """Let one process at a time fetch a file; where the system has no such locks, each fetches it by itself."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f'.{file.name}.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


_SAID: dict[str, tuple] = {}


def _said(address: str, file: Path) -> Path:
    """Check the hash of a fetched file, and say it once."""
    state = (file, file.stat().st_mtime_ns)
    if _SAID.get(address) != state:
        with file.open('rb') as stream:
            digest = hashlib.file_digest(stream, 'sha256').hexdigest()
        wanted = _hash_in(file.name)
        if wanted and not digest.startswith(wanted):
            discard(file)
            raise InvalidInput(
                f'{address} is not what its name says: its SHA-256 begins with {digest[: len(wanted)]}, not {wanted}; '
                'it may be damaged, and was not kept'
            )
        _say(f'{address}: {file.stat().st_size / 1e6:.1f} MB, sha256 {digest}, kept as {file}')
        _SAID[address] = state
    return file


def discard(file: Union[str, Path]) -> None:
    """Remove a fetched file that is no good, or the next attempt would take it again."""
    file = Path(file)
    file.resolve().unlink(missing_ok=True)  # Hugging Face's are links
    file.unlink(missing_ok=True)


def _say(text: str) -> None:
    if os.environ.get('LOCAL_RANK', '0') != '0':  # of several processes, one speaks
        return
    try:
        from mmengine.logging import print_log
    except ImportError:
        print(text, flush=True)
    else:
        print_log(text, logger='current')
