"""What is wrong with a file that is no readable checkpoint, in one sentence, for every reader of checkpoints."""

import pickle
import zipfile
from contextlib import contextmanager
from pathlib import Path

from mmsterf.errors import InvalidInput, shortened

from .addresses import discard, is_address

_STARTS = (
    (b'\x89HDF\r\n', 'an HDF5 file (of Keras, say)'),
    (b'version https://git-lfs', 'a Git LFS pointer: fetch the file itself with `git lfs pull`'),
    (b'\x93NUMPY', 'a NumPy array'),
    (b'\x1f\x8b', 'packed with gzip: unpack it first'),
    (b'\x89PNG', 'an image'),
    (b'\xff\xd8\xff', 'an image'),
)


@contextmanager
def explained(path: str, file: Path):
    """Turn the errors of reading a checkpoint into one sentence.

    Args:
        path (str): File or address, as the user gave it.
        file (Path): Where it is, see `local_file`. If it was fetched and cannot be read, it is removed.

    Raises:
        FileNotFoundError: If there is no such file.
        InvalidInput: If it is no checkpoint, damaged, or needs code to load.
    """
    if not file.is_file():
        if file.is_dir():
            raise InvalidInput(f'checkpoint {path} is a folder, and must be a file in it')
        raise FileNotFoundError(f'checkpoint {path} is not a file (looked for {file.absolute()})')
    try:
        yield
    except InvalidInput:
        raise
    except Exception as error:  # torch lets the parsers' own errors through: IndexError, UnicodeDecodeError, ...
        said = _what_it_is(file) if file.is_file() else None
        if is_address(path):
            discard(file)
        raise InvalidInput(f'{path} {said or _reason(error)}') from error


def _what_it_is(file: Path) -> str:
    """The kind of a file that is no checkpoint, or an empty text."""
    with file.open('rb') as stream:
        start = stream.read(512)
    if not start:
        return 'is empty, and no checkpoint'
    for begin, kind in _STARTS:
        if start.startswith(begin):
            return f'is no checkpoint of PyTorch, but {kind}'
    if start.startswith(b'PK'):
        if not zipfile.is_zipfile(file):
            return 'is damaged: its end is missing (an interrupted copy or download?)'
        names = zipfile.ZipFile(file).namelist()
        if any(name.endswith('.npy') for name in names):
            return 'is no checkpoint of PyTorch, but NumPy arrays (.npz)'
        return '' if any(name.endswith('data.pkl') for name in names) else 'is no checkpoint, but another zip archive'
    if start[8:9] == b'{' and int.from_bytes(start[:8], 'little') < 10**9:
        return 'is no checkpoint of PyTorch, but a safetensors file: load it with safetensors and save it by torch.save'
    if start.lstrip()[:1] == b'<':
        return 'is no checkpoint, but a web page: it needs the address of the file itself'
    if all(byte in b'\t\n\r' or 32 <= byte < 127 for byte in start):
        return f'is no checkpoint, but text ({shortened(start.decode(), 40)!r})'
    return ''


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        # The error itself tells how to load it anyway.
        reason = shortened(str(error.__context__ or error).partition(' Please use')[0], 200)
        return (
            f'is damaged, or holds objects that only code could restore, and code in a checkpoint is never run '
            f'({reason}). If you trust it, load it where its own code is installed, save the weights alone, '
            "torch.save({'state_dict': model.state_dict()}, path), and take that file."
        )
    reason = (f'{type(error).__name__} {error}'.strip().splitlines() or [''])[0]
    return f'cannot be read as a checkpoint, it may be damaged ({reason})'
