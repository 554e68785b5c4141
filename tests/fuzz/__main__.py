"""All cases: python tests/fuzz [--sample N] [--only TEXT] [--failures FILE] [--at-least RATE]."""

import argparse
import sys
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cases import mutated
from harness import run_all
from suite import all_cases, sample

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('--sample', type=int, help='about so many cases instead of all')
parser.add_argument('--seed', type=int, default=0, help='of the sample and of the mutations')
parser.add_argument('--mutations', type=int, default=0, help='random changes of annotations as well')
parser.add_argument('--only', default='', help='cases whose name or tool holds this')
parser.add_argument('--failures', type=Path, help='file to list failures in')
parser.add_argument('--at-least', type=float, default=0.99, help='pass rate that is success')
args = parser.parse_args()
cases = sample(args.sample, args.seed) if args.sample else all_cases()
cases = [case for case in cases if args.only in f'{case.tool} {case.name}']
cases += list(islice(mutated(args.seed), args.mutations))
passed, count, _ = run_all(cases, args.failures)
sys.exit(passed < args.at_least * count)
