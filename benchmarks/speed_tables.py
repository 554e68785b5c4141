"""The tables of speed.py."""

SMALL, MIDDLE, LARGE = '400x608', '512x512', '800x1216'
RUNTIMES = ('pytorch', 'nnpack', 'openvino', 'openvino-bf16', 'onnxruntime')
"""'pytorch' runs folded models, where inference is not said to be otherwise."""
NOT_RUN = dict.fromkeys(('seconds', 'mb', 'peak', 'gflop', 'parameters', 'share'), float('nan'))
STEPS = {
    'training': ('public', 'linear', 'bytes', 'plain', 'sdt'),
    'inference': ('public', 'linear', 'plain', 'sdt'),
}
"""Ways to compute the same function, each with what those before it have; 'sdt' is what the package does."""
LAST = 'sdt'
EXPLAINED = {
    'public': 'q k^T first, neurons save their input: as the public code',
    'linear': '+ k^T v first',
    'bytes': '+ neurons save one byte for each element',
    ('plain', 'training'): '+ weight gradient of 7x7 depthwise convolutions in strips',
    ('plain', 'inference'): '+ norms and constants of neurons folded into the weights',
    'sdt': '+ freed memory is kept, as the tools do',
}
ANNS = {'PVTv2-b0': 'pvt', 'Swin-T': 'swin', 'ResNet-50': 'resnet'}
MIXED = 'openvino+nnpack'
"""Runs whole models besides."""
GROWN = {'mask_rcnn': LARGE, 'semantic_fpn': MIDDLE}
"""Whole models and the sizes of their images."""
WHOLE_NAMES = {'mask_rcnn': 'Mask R-CNN', 'semantic_fpn': 'Semantic FPN'}


def table(header: list, rows: list) -> None:
    """Print rows in Markdown."""
    print(f'| {" | ".join(header)} |\n|{"---|" * len(header)}')
    for row in rows:
        print(f'| {" | ".join("-" if str(cell).startswith("nan") else str(cell) for cell in row)} |')
    print()


class Numbers:
    """Results by case, {(what, mode, size, where): numbers}."""

    def __init__(self, found: dict) -> None:
        self.found = found

    def seconds(self, what: str, mode: str, size: str, where: str = 'pytorch') -> float:
        """Of a case; not a number if it was refused or not run."""
        return self.found.get((what, mode, size, where), {}).get('seconds', float('nan'))

    def ratio(self, a: tuple, b: tuple) -> str:
        """How many times as long case `a` takes as `b`."""
        value = self.seconds(*a) / self.seconds(*b)
        return f'{value:.1f}x' if value == value else '-'

    def best(self, what: str) -> tuple:
        """Seconds and runtime of a backbone in its fastest float32 runtime at the large size."""
        times = {w: self.seconds(what, 'inference', LARGE, w) for w in RUNTIMES if 'bf16' not in w}
        times = {where: value for where, value in times.items() if value == value}
        where = min(times, key=times.get)
        return times[where], where

    def growth(self, mode: str, where: str) -> float:
        """How many times as long the large size takes as the small one."""
        return self.seconds(LAST, mode, LARGE, where) / self.seconds(LAST, mode, SMALL, where)


def report(found: dict, device: str) -> None:
    """Print the tables of all results."""
    numbers = Numbers(found)
    _steps(numbers)
    if device == 'cpu':
        _runtimes(numbers)
        _whole(numbers)
    _growth(numbers, device)
    _anns(numbers)
    _peak(numbers)
    share = found['neurons', 'training', LARGE, 'pytorch'].get('share')
    if device == 'cpu':
        print(f'(g) Neurons, forward and backward, take {100 * share:.0f} % of a training step at {LARGE}.\n')
        _wanted(numbers)
    refused = {case: numbers['refused'] for case, numbers in found.items() if 'refused' in numbers}
    for (what, _, _, where), reason in refused.items():
        print(f'{what} in {where}: {reason}')


def _steps(numbers: Numbers) -> None:
    for mode, steps in STEPS.items():
        print(f'(a) {"Training step" if mode == "training" else "Inference"} in PyTorch at {LARGE}, one image\n')
        base = numbers.found['public', mode, LARGE, 'pytorch']
        cases = [(EXPLAINED.get(step) or EXPLAINED[step, mode], (step, mode, LARGE, 'pytorch')) for step in steps]
        if mode == 'training':
            cases.append(('+ bfloat16 (`--amp`)', ('sdt', 'amp', LARGE, 'pytorch')))
        rows = []
        for text, case in cases:
            its = numbers.found[case]
            speed, memory = base['seconds'] / its['seconds'], its['mb'] / base['mb']
            rows.append((text, f'{its["seconds"]:.3f}', f'{speed:.1f}x', f'{its["mb"]:.0f}', f'{memory:.2f}'))
        table(['computed with', 's', 'faster', 'MB', 'memory'], rows)


def _runtimes(numbers: Numbers) -> None:
    print(f'(b) Inference of the backbone at {LARGE}, one image, by runtime\n')
    flops, rows = numbers.found['flops', 'inference', LARGE, 'pytorch']['gflop'], []
    for where in RUNTIMES:
        its = numbers.found['sdt', 'inference', LARGE, where]
        if 'seconds' in its:
            rate = flops / its['seconds']
            public = numbers.ratio(('public', 'inference', LARGE), ('sdt', 'inference', LARGE, where))
            cells = f'{its["seconds"]:.3f}', public, f'{100 * rate / its["peak"]:.0f} %', f'{its["mb"]:.0f}'
            rows.append((where, *cells))
    table(['runtime', 's', 'against the public way', "of PyTorch's convolution peak (float32)", 'MB'], rows)


def _whole(numbers: Numbers) -> None:
    print('(c) Whole models, one image to predictions, batch 1\n')
    rows = []
    for what, size in GROWN.items():
        for where in (*RUNTIMES, MIXED):
            case = what, 'inference', size, where
            its = numbers.found[case]
            if 'seconds' in its:
                ratio = numbers.ratio((what, 'inference', size, 'pytorch'), case)
                rows.append((WHOLE_NAMES[what], size, where, f'{its["seconds"]:.3f}', ratio))
    table(['model', 'size', 'runtime', 's', 'against PyTorch'], rows)


def _growth(numbers: Numbers, device: str) -> None:
    print(f'(d) Growth from {SMALL} to {LARGE}, 4 times the pixels\n')
    cases = [('training', 'pytorch'), *(('inference', where) for where in RUNTIMES)]
    rows = []
    for mode, where in cases if device == 'cpu' else cases[:2]:
        small, large = (numbers.seconds(LAST, mode, size, where) for size in (SMALL, LARGE))
        rows.append((mode, where, f'{small:.3f}', f'{large:.3f}', f'{numbers.growth(mode, where):.1f}x'))
    table(['mode', 'runtime', f'{SMALL}: s', f'{LARGE}: s', 'growth'], rows)


def _anns(numbers: Numbers) -> None:
    print(f'(e) Backbones at {LARGE}, one image, inference in its fastest runtime (float32); x: of MetaSDT\n')
    rows = []
    own = numbers.best(LAST)[0]
    for name, key in (('MetaSDT', LAST), *ANNS.items()):
        seconds, where = numbers.best(key)
        plain = numbers.found[key, 'inference', LARGE, 'pytorch']
        cells = [name, f'{plain["parameters"] / 1e6:.2f}', f'{plain["seconds"]:.3f}']
        cells += [f'{seconds:.3f}', where, f'{seconds / own:.1f}x']
        rows.append(cells)
    header = ['backbone', 'M parameters', 'PyTorch: s', 'fastest: s', 'in', '']
    table(header, rows)


def _peak(numbers: Numbers) -> None:
    flops = numbers.found['flops', 'inference', LARGE, 'pytorch']['gflop']
    rows = []
    for mode, times in (('inference', 1), ('training', 3)):  # a gradient of the input and of the weight for each layer
        its = numbers.found[LAST, mode, LARGE, 'pytorch']
        rate = times * flops / its['seconds']
        cells = f'{times * flops:.0f}', f'{rate:.0f}', f'{its["peak"]:.0f}', f'{100 * rate / its["peak"]:.0f} %'
        rows.append((mode, *cells))
    print('(f) Share of the convolution peak (a 3x3 convolution of 256 channels, timed in the same process), PyTorch\n')
    table(['mode', 'GFLOP', 'GFLOP/s', 'peak', 'of it'], rows)


def _wanted(numbers: Numbers) -> None:
    own, where = numbers.best(LAST)
    public, training = (numbers.seconds('public', mode, LARGE) for mode in ('inference', 'training'))
    its = numbers.found[LAST, 'inference', LARGE, where]
    flops = numbers.found['flops', 'inference', LARGE, 'pytorch']['gflop']
    wanted = [
        (f'inference against the public way ({where})', 12, public / own),
        ('share of the convolution peak, %', 75, 100 * flops / own / its['peak']),
    ]
    for (name, key), least in zip(ANNS.items(), (2, 2, 1.5)):
        wanted.append((f'inference against {name}, each in its fastest runtime', least, numbers.best(key)[0] / own))
    for what, size in GROWN.items():
        runs = [numbers.seconds(what, 'inference', size, w) for w in (*RUNTIMES, MIXED) if 'bf16' not in w]
        wanted.append((f'whole {WHOLE_NAMES[what]} against PyTorch', 2, runs[0] / min(runs)))
    wanted.append(('training step against the public way', 6, training / numbers.seconds(LAST, 'training', LARGE)))
    rows = [(text, f'at least {least}', f'{got:.1f}', 'missed' if got < least else '') for text, least, got in wanted]
    grown = [numbers.growth('inference', where) for where in RUNTIMES]
    text = 'growth of inference for 4 times the pixels, in any runtime'
    rows.append((text, 'at most 4.2', f'{max(grown):.1f}', 'missed' if max(grown) > 4.2 else ''))
    print('(h) What was wanted, float32\n')
    table(['', 'wanted', 'here', ''], rows)
