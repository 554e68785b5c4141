"""Run a model whose code is somebody else's, and say in a sentence where it fails."""

from pathlib import Path
from typing import Optional

from torch import Tensor, nn

from mmsterf.errors import InvalidInput, frames_of, is_ours, sentence, shortened


class Unavailable(InvalidInput):
    """What a model needs is not there, whatever the input."""


def run(model: nn.Module, x: Tensor) -> object:
    """Run a plain model.

    Raises:
        InvalidInput: Says where it fails, and on what.
    """
    try:
        return model(x)
    except Exception as error:
        if failure := failed(model, x, error, '--size, --time-steps and --input-time say what it takes'):
            raise failure from error
        raise


def failed(model: nn.Module, x: Tensor, error: Exception, advice: str) -> Optional[InvalidInput]:
    """Return what to say of an error of a model's code; None where that is said already, or the code is mmsterf's.

    Args:
        model, x: What was run, on what.
        error: What it raised.
        advice: How to go on.
    """
    said = foreign(error)
    what = f'the {type(model).__name__} does not run on an input {tuple(x.shape)}'
    return said and InvalidInput(f'{what}: {said}; {advice}')


def foreign(error: Exception) -> Optional[str]:
    """Return what an error of foreign code is, and where; None where that is said already, or the code is mmsterf's."""
    frames = [f for f in frames_of(error.__traceback__) if f.tb_frame.f_code.co_name != '__torch_function__']
    files = [Path(f.tb_frame.f_code.co_filename).as_posix() for f in frames]
    if sentence(error) is not None or not files:
        return None
    if isinstance(error, SyntaxError):
        return f'{error.msg} ({Path(str(error.filename)).name}, line {error.lineno})'
    if is_ours(files[-1]):
        return None
    own = [i for i, file in enumerate(files) if '/torch/' not in file][-1]
    where = f'{Path(files[own]).name}, line {frames[own].tb_lineno}'
    return f'{type(error).__name__}: {shortened(str(error), 200)} ({where})'
