"""Runs tools of mmdet and mmseg one after the other in one process; argument 1 is JSON: [[name, tool, args], ...]."""

import contextlib
import io
import json
import runpy
import sys
import traceback
from pathlib import Path

results = {}
for name, tool, args in json.loads(sys.argv[1]):
    sys.argv = [tool, *args]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            runpy.run_path(tool, run_name='__main__')
        except BaseException:
            traceback.print_exc(file=printed)
    results[name] = printed.getvalue()
    Path('printed.json').write_text(json.dumps(results))
