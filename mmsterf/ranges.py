"""Arguments out of range are refused where they are given, in one sentence; imports nothing but the errors."""

from math import isfinite
from typing import Optional

from .errors import InvalidInput


def check_count(what: str, value, least: int = 1, multiple_of: Optional[int] = None) -> None:
    """Refuse what is no integer of at least `least`.

    Args:
        what (str): Name of the argument and whose it is, for the sentence.
        value: What was given.
        least (int): Smallest valid value.
        multiple_of (int, optional): What it must be a multiple of as well.

    Raises:
        InvalidInput: Names argument, value and valid choices.
    """
    good = isinstance(value, int) and not isinstance(value, bool) and value >= least
    if not good or (multiple_of and value % multiple_of):
        kind = 'a positive integer' if least == 1 else f'an integer of at least {least}'
        also = f' and a multiple of {multiple_of}' if multiple_of else ''
        raise InvalidInput(f'{what} must be {kind}{also}, got {value!r}')


def check_number(
    what: str,
    value,
    least: Optional[float] = None,
    above: Optional[float] = None,
    most: Optional[float] = None,
    below: Optional[float] = None,
) -> None:
    """Refuse what is no finite number of at least `least`, above `above`, at most `most` and below `below`.

    Raises:
        InvalidInput: Names argument, value and valid choices.
    """
    bounds = [('at least', least), ('above', above), ('at most', most), ('below', below)]
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
    good = good and (least is None or value >= least) and (above is None or value > above)
    if not (good and (most is None or value <= most) and (below is None or value < below)):
        said = ' and '.join(f'{word} {bound:g}' for word, bound in bounds if bound is not None)
        raise InvalidInput(f'{what} must be {said or "a finite number"}, got {value!r}')
