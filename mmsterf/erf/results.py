"""What the command line of ST-ERF writes and prints."""

import re
import shlex
import sys
from pathlib import Path
from typing import Optional


def write(results: dict, facts: dict, name: str, out: Path) -> list[dict]:
    """Write files and figures of one model to a folder; return its metrics."""
    from mmsterf.erf import measure, plots, write_csv, write_json, write_maps
    from mmsterf.erf.panels import words_of

    published = facts.pop('replknet', {})
    rows = [{**measure(r), **published.get(layer, {})} for layer, r in results.items()]
    note = '' if facts['checkpoint'] else facts['weights']
    write_maps(out / 'maps.npz', results)
    write_json(out / 'metrics.json', rows, facts)
    write_csv(out / 'metrics.csv', rows)
    figures = {
        'overview': plots.overview_figure({name: results}, 'both', f'{name}: spatial ERF', note),
        'profiles': plots.profile_figure(results, f'{name}: profiles', note),
    }
    if max(len(r.mean) for r in results.values()) > 1:
        figures['delays'] = plots.delay_figure(results, title=f'{name}: ST-ERF by delay', note=note)
        figures['temporal'] = plots.temporal_figure(results, f'{name}: temporal ERF', note)
    for layer, result in results.items():
        title = f'{name}: {words_of(layer)}'
        figures[f'layers/{layer.replace(":", "-")}'] = plots.layer_figure(result, title, note)
    for stem, figure in figures.items():
        plots.save(figure, out / stem)
    return rows


def write_comparison(found: dict, tables: dict, out: Path) -> None:
    """Write figures and a table of several models; `found` has (results, facts) by name, `tables` their metrics."""
    from mmsterf.erf import plots, write_csv

    random = [name for name, (_, facts) in found.items() if facts['weights'].startswith('RANDOM')]
    note = f'RANDOM WEIGHTS (no checkpoint): {", ".join(random)}' if random else ''
    note = 'RANDOM WEIGHTS (no checkpoints)' if len(random) == len(found) else note
    results = {name: r for name, (r, _) in found.items()}
    plots.save(plots.overview_figure(results, 'log', 'Spatial ERF', note), out / 'comparison')
    plots.save(plots.overview_figure(results, 'linear', 'Spatial ERF', note), out / 'comparison_linear')
    write_csv(out / 'metrics.csv', [{'model': name, **row} for name, rows in tables.items() for row in rows])


def write_report(found: dict, tables: dict, compared: list, argv: Optional[list[str]], out: Path) -> None:
    """Write report.html of what is in a folder."""
    from mmsterf.erf import comparison_lines
    from mmsterf.erf.html import layer_entry, model_entry, write_html

    models = [
        model_entry(name, facts['weights'], [layer_entry(r, row) for r, row in zip(results.values(), tables[name])])
        for name, (results, facts) in found.items()
    ]
    lines = comparison_lines(compared, list(found)) if compared else []
    title = f'ST-ERF: {", ".join(found)}'
    write_html(out / 'report.html', title, command_of(argv), models, figures_in(out), lines)


def command_of(argv: Optional[list[str]]) -> str:
    """The command line that runs."""
    program = Path(sys.argv[0]).name
    program = 'python -m mmsterf.erf' if program == '__main__.py' else program
    return f'{program} {shlex.join(sys.argv[1:] if argv is None else argv)}'


def figures_in(out: Path) -> dict[str, Path]:
    """The figures in a folder, by their paths below it: overviews first, numbers in their order."""

    def order(path: Path) -> tuple:
        parts = re.split(r'(\d+)', str(path.relative_to(out)))
        return len(path.parts), [int(p) if p.isdecimal() else p for p in parts]

    return {str(path.relative_to(out).with_suffix('')): path for path in sorted(out.rglob('*.png'), key=order)}


def report(rows: list[dict], name: str) -> None:
    """Print the main numbers of one model as a table."""
    width = max(len(r['layer']) for r in rows)
    columns = {'non-zero': 'nonzero', 'area 50 %': 'area_50', 'area 99 %': 'area_99', 'radius px': 'radius'}
    if any(r['half_life'] == r['half_life'] for r in rows):
        columns['half-life'] = 'half_life'
    shown = any(r['field_h'] == r['field_h'] for r in rows)
    titles = [*columns, *['field px'] * shown]
    print(f'\n{name}\n{"layer":{width}}' + ''.join(f'{title:>11}' for title in titles))
    for r in rows:
        numbers = ''.join(f'{r[key]:11.3f}' for key in columns.values())
        numbers += f'{_field(r):>11}' if shown else ''
        print(f'{r["layer"]:{width}}' + ('    cancels: its map is rounding error' if r['cancels'] else numbers))
    if 'replknet_side_50' in rows[0]:
        report_ratios(rows, width)


def _field(row: dict) -> str:
    """The theoretical receptive field in pixels; - where an op in front of the layer is not known to be local."""
    h, w = row['field_h'], row['field_w']
    return '-' if h != h else f'{h}' if h == w else f'{h}x{w}'


def report_ratios(rows: list[dict], width: int) -> None:
    """Print the high-contribution areas of RepLKNet's definition beside ours."""
    shares = ('20', '30', '50', '99')
    print(
        f'\nside in px (area / image)\n{"layer":{width}}  {"definition":11}'
        + ''.join(f'{s + " %":>15}' for s in shares)
    )
    for r in rows:
        for prefix, name in (('', 'ours'), ('replknet_', 'RepLKNet')):
            pairs = [(r[f'{prefix}side_{s}'], r[f'{prefix}area_{s}']) for s in shares]
            numbers = ''.join(f'{"none" if a != a else f"{side:.0f} ({a:.3f})":>15}' for side, a in pairs)
            print(f'{r["layer"]:{width}}  {name:11}{numbers}')
