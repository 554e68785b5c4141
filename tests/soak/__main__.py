"""Kill trainings at random moments, resume them until they end, and compare: python tests/soak [--kills N] [--seed N].

The last line is the rate. Status 1 if a run is not exact, or if a kill left a process or a file.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1] / 'test_tools'))

from runs import VARIANTS, Variant, compare

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('--kills', type=int, default=24, help='at least so many')
parser.add_argument('--seed', type=int, default=0, help='of the moments of the kills')
parser.add_argument('--only', choices=VARIANTS, help='one kind of training instead of all')
args = parser.parse_args()
if args.kills < 1:
    parser.error(f'--kills is {args.kills}, but at least 1 is needed')

rng = random.Random(args.seed)
names = [args.only] if args.only else list(VARIANTS)
kills = late = exact = orphans = runs = clean = tried = 0
with tempfile.TemporaryDirectory(prefix='soak_') as folder:
    variants = [Variant(name, Path(folder, name)) for name in names]
    while kills < args.kills:
        variant = variants[tried % len(variants)]
        tried += 1
        run = variant.killed_run(tried, rng)
        if not (run.kills or run.failure):  # done before its moment came
            continue
        runs += 1
        found = compare(run.work_dir, variant.whole)
        kills, late, orphans = kills + run.kills, late + run.with_checkpoint, orphans + run.orphans
        exact += not (run.failure or found.differing)
        clean += not found.files
        state = run.failure or found.text() or 'exact'
        print(f'{variant.name} {runs}: {run.kills} kills, {run.orphans} orphans, {state}', flush=True)
print(
    f'{exact} of {runs} runs exact, {clean} of {runs} without a left-over file, {orphans} orphans, after {kills} kills '
    f'at random moments ({late} of them when there was a checkpoint)'
)
sys.exit(exact < runs or clean < runs or orphans > 0)
