"""torchrun for the shell scripts of tools/: what ended a process is said once, by that process."""

import logging
import os
import sys
import tempfile
from pathlib import Path

from mmsterf.errors import SPOKEN


def main() -> None:
    """Run torchrun with the command line's arguments, and end with the status of the process that failed first."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    # Its own reports repeat what the processes have said, in a traceback of its own.
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix='mmsterf_') as folder:
        mark = Path(folder, 'spoken')
        os.environ[SPOKEN] = str(mark)
        try:
            torchrun()
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            if not mark.exists() and failure.exitcode < 0:
                print(
                    f'error: process {failure.local_rank} was ended by signal {-failure.exitcode}, and the run with it',
                    file=sys.stderr,
                )
            sys.exit(failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode)
        except (KeyboardInterrupt, SignalException) as error:
            number = int(getattr(error, 'sigval', 2))
            if not mark.exists():
                print(f'interrupted by signal {number}', file=sys.stderr)
            sys.exit(128 + number)
        except RuntimeError as error:
            print(f'error: the processes could not be started: {" ".join(str(error).split())[:300]}', file=sys.stderr)
            sys.exit(1)


if __name__ == '__main__':
    main()
