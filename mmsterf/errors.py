"""Errors that are the input's, and how command lines print them."""

import sys
from contextlib import contextmanager


class InvalidInput(ValueError):
    """Something a user gave is wrong; the message is a whole sentence that says what, and what is valid."""


@contextmanager
def exit_on_error(*kinds: type):
    """Turn the expected errors of a command line into one line and exit status 1, without a traceback.

    Args:
        *kinds: Types of the errors; by default all that checks before the work raise. `InvalidInput` is right around
            the work itself, where other errors are ours.
    """
    expected = kinds or (ImportError, OSError, ValueError)
    try:
        yield
    except expected as error:
        # A data loader's process hands its error over with the traceback in front.
        sys.exit(f'error: {str(error).rpartition(f"{InvalidInput.__name__}: ")[-1].strip()}')
