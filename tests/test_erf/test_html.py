"""The HTML report: self-contained, complete, and its script run by Node against a small document of its own."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.image import imsave

from mmsterf.erf import STERF, measure
from mmsterf.erf.answers import Answer
from mmsterf.erf.html import answer_entry, layer_entry, model_entry, write_html
from mmsterf.erf.results import figures_in

# Elements that remember what happens to them: enough of a document for the page's script.
DOCUMENT = """
class Element {
  constructor(tag) {
    Object.assign(this, { tagName: tag.toUpperCase(), children: [], handlers: {}, style: {}, attributes: {}, text: '',
      value: '', checked: true, calls: [], width: 900, height: 900 });
    const names = new Set();
    this.classList = { toggle: n => names.has(n) ? names.delete(n) : names.add(n), has: n => names.has(n) };
  }
  get textContent() { return this.text + this.children.map(c => c.textContent).join('|'); }
  set textContent(t) { this.text = String(t); this.children = []; }
  appendChild(c) { this.children.push(c); return c; }
  replaceChildren() { this.children = []; }
  setAttribute(k, v) { this.attributes[k] = v; }
  addEventListener(name, f) { this.handlers[name] = f; }
  fire(name, event) { return this.handlers[name](Object.assign({ preventDefault() {}, target: this }, event)); }
  querySelectorAll(tag) {
    return this.children.flatMap(c => [...(c.tagName === tag.toUpperCase() ? [c] : []), ...c.querySelectorAll(tag)]);
  }
  getBoundingClientRect() { return { left: 10, top: 20, width: 450, height: 450 }; }
  setPointerCapture() {}
  getContext() {
    const calls = this.calls, put = d => { this.pixels = d; };
    return new Proxy({}, { get: (t, k) => k in t ? t[k] : (...a) => {
      if (k === 'createImageData') return { data: new Uint8ClampedArray(4 * a[0] * a[1]) };
      if (k === 'putImageData') put(a[0].data);
      calls.push([k, ...a]);
    } });
  }
}
const found = {}, made = [];
global.Image = class extends Element { constructor() { super('img'); } };
global.document = Object.assign(new Element('document'), {
  getElementById: id => found[id] = found[id] || new Element('div'),
  createElement: tag => { const e = new Element(tag); made.push(e); return e; },
});
found.data = new Element('script'); found.data.text = require('fs').readFileSync(0, 'utf8');
found.scale = new Element('select'); found.scale.value = 'log';
found.map = new Element('canvas');
"""
STEPS = """
const out = {}, canvases = () => made.filter(e => e.tagName === 'CANVAS'), last = () => canvases().at(-1).pixels;
const buttons = found.layers.querySelectorAll('button');
out.layers = buttons.map(b => b.textContent);
out.title = found.title.textContent; out.command = found.command.textContent; out.about = found.about.textContent;
out.figures = found.figures.querySelectorAll('img').map(i => i.title);
out.differences = found.differences.textContent;
out.first = [found.name.textContent, Array.from(last())];
const point = (x, y) => ({ clientX: 10 + x / 2, clientY: 20 + y / 2, pointerId: 1 });
found.map.fire('pointermove', point(0.5 * 900 / 4, 2.5 * 900 / 4)); out.value = found.value.textContent;
found.scale.value = 'linear'; found.scale.fire('change'); out.linear = Array.from(last());
buttons[1].fire('click');
out.second = [found.name.textContent, found.delay.max, found.notes.textContent,
  buttons.map(b => b.attributes['aria-current'])];
out.metrics = found.metrics.textContent;
found.delay.value = 1; found.delay.fire('input'); out.delayed = [found.delayname.textContent, Array.from(last())];
found.map.fire('wheel', { deltaY: -1, ...point(450, 450) });
const drawn = () => found.map.calls.filter(c => c[0] === 'drawImage').at(-1);
out.zoomed = drawn().slice(2);
found.map.fire('pointerdown', point(450, 450)); found.map.fire('pointermove', point(460, 440));
out.moved = drawn().slice(2);
found.map.fire('pointerup', point(460, 440)); found.whole.fire('click'); out.whole = drawn().slice(2);
out.scrolls = found.map.style.touchAction;
const finger = (id, x) => ({ ...point(x, 450), pointerId: id });
found.map.fire('pointerdown', finger(1, 400)); found.map.fire('pointerdown', finger(2, 500));
found.map.fire('pointermove', finger(1, 300)); out.pinched = drawn().slice(2); out.held = found.map.style.touchAction;
found.map.fire('pointercancel', finger(1, 300)); found.map.fire('pointerup', finger(2, 500));
found.map.fire('pointermove', finger(1, 900)); out.released = drawn().slice(2);
found.fit.fire('click'); out.fit = drawn().slice(2); out.least = found.least.textContent;
found.whole.fire('click'); document.fire('keydown', { key: 'ArrowDown', target: found.map });
out.third = [found.name.textContent, found.under.checked, found.underbox.style.display];
out.box = found.map.calls.filter(c => c[0] === 'strokeRect').at(-1).slice(1);
document.fire('keydown', { key: 'ArrowUp', target: found.map }); out.up = found.name.textContent;
const image = found.figures.querySelectorAll('img')[0]; image.fire('click'); out.large = image.classList.has('large');
console.log(JSON.stringify(out));
"""


class Page(HTMLParser):
    """Tags that are open, attributes that load something, and scripts."""

    def __init__(self):
        super().__init__()
        self.open, self.loaded, self.scripts = [], [], {}

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loaded += [attrs[k] for k in ('src', 'href', 'data', 'srcset') if k in attrs]
        if tag not in ('meta', 'input'):
            self.open.append((tag, attrs))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, text):
        if self.open and self.open[-1][0] == 'script':
            kind = self.open[-1][1].get('type', 'js')
            self.scripts[kind] = self.scripts.get(kind, '') + text


def result(layer, mean, **more):
    mean = np.asarray(mean, float)
    return STERF(layer, mean, mean * 0, 2, (2, 2), (1, 1), (2, 2), len(mean), 'last', **more)


@pytest.fixture
def page(tmp_path):
    first = np.zeros((1, 4, 4))
    first[0, 2, :3] = 8, 0.08, 8e-9
    second = np.ones((2, 4, 4)) * [[[1.0]], [[0.25]]]
    layers = [result('stage </script><b>', first), result('late', second, notes=('be careful',))]
    answer = Answer(
        'box:BEST', 'cat', 0.5, np.eye(4)[None], (1.0, 1.0, 3.0, 4.0), None, None, np.zeros((3, 4, 4), 'f4')
    )
    models = [
        model_entry('net', 'RANDOM WEIGHTS', [layer_entry(r, measure(r)) for r in layers]),
        model_entry('det', 'weights of x.pth', [answer_entry('a', answer, np.full((4, 4, 3), 0.5))]),
    ]
    imsave(tmp_path / 'f.png', np.zeros((2, 2)))
    path = tmp_path / 'report.html'
    write_html(path, 'a <title>', 'st_erf.py x.py', models, {'overview': tmp_path / 'f.png'}, ['head', 'radius +1 *'])
    parsed = Page()
    parsed.feed(path.read_text())
    assert not parsed.open
    parsed.text = path.read_text()
    return parsed


def test_one_file_holds_everything(page):
    assert page.loaded == []  # nothing is loaded when it is opened
    assert not re.search(r'https?://|@import|url\(|fetch\(|XMLHttpRequest|<link|import\(', page.text)
    data = json.loads(page.scripts['application/json'])
    layers = [layer for model in data['models'] for layer in model['layers']]
    assert [layer['name'] for layer in layers] == ['stage </script><b>', 'late', 'a: box:BEST']
    assert layers[0]['metrics']['area_50'] == 1.0 and layers[0]['metrics']['half_life'] is None
    raw = np.frombuffer(base64.b64decode(layers[0]['map']['data']), '<u2').reshape(4, 4)
    assert layers[0]['map']['top'] == 8 and np.count_nonzero(raw) == 3
    np.testing.assert_allclose(10 ** ((raw[2, :3] - 65535.0) / 65534 * 12), [1, 1e-2, 1e-9], rtol=3e-4)
    assert base64.b64decode(data['figures'][0]['source'].split(',')[1]).startswith(b'\x89PNG')
    assert data['command'] == 'st_erf.py x.py' and len(base64.b64decode(data['colours'])) == 768


def test_figures_come_in_the_order_of_numbers(tmp_path):
    for name in ('layers/2', 'layers/14', 'layers/8', 'overview', 'layers/stage2.10', 'layers/stage2.9'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f'{name}.png').touch()
    assert list(figures_in(tmp_path)) == [
        'overview', 'layers/2', 'layers/8', 'layers/14', 'layers/stage2.9', 'layers/stage2.10'
    ]  # fmt: skip


def test_a_layer_is_picked_and_maps_are_zoomed(page):
    node = shutil.which('node')
    if not node:
        pytest.skip('needs node')
    done = subprocess.run(
        [node, '-e', DOCUMENT + page.scripts['js'] + STEPS],
        input=page.scripts['application/json'], capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out['layers'] == ['stage </script><b>', 'late', 'a: box:BEST']
    assert (out['title'], out['command'], out['figures']) == ('a <title>', 'st_erf.py x.py', ['overview'])
    assert out['about'] == 'net: RANDOM WEIGHTS|det: weights of x.pth' and 'radius +1 *' in out['differences']
    name, pixels = out['first']
    pixels = np.reshape(pixels, (4, 4, 4))
    grey, top, middle = [74, 79, 92, 255], [252, 255, 164, 255], pixels[2, 1].tolist()
    assert name == 'net: stage </script><b>' and pixels[0, 0].tolist() == pixels[2, 3].tolist() == grey
    assert pixels[2, 0].tolist() == top and middle not in (grey, top)
    assert pixels[2, 2].tolist() == [0, 0, 4, 255]  # below five powers of ten: the darkest colour, not grey
    assert out['value'] == 'row 2, column 0: 1.000 of the maximum, 8.000e+0'
    assert np.reshape(out['linear'], (4, 4, 4))[2, 1].tolist() != middle
    assert out['second'] == ['net: late', 1, 'be careful', [False, True, False]]
    assert 'centre_row|2' in out['metrics'] and 'half_life|' in out['metrics']
    label, pixels = out['delayed']
    quarter = [round(255 * c) for c in colormaps['inferno'](64)]
    assert label == '1' and np.reshape(pixels, (16, 4)).tolist() == [quarter] * 16
    assert out['zoomed'] == pytest.approx([-112.5, -112.5, 1125, 1125])  # about the pointer
    assert out['moved'] == pytest.approx([-102.5, -122.5, 1125, 1125])
    assert out['whole'] == pytest.approx([0, 0, 900, 900])
    assert out['pinched'] == out['released'] == pytest.approx([-400, -450, 1800, 1800])  # about the fingers' middle
    # the square of 99 % is the whole map
    assert out['fit'] == pytest.approx([0, 0, 900, 900]) and out['least'] == '0'
    assert (out['scrolls'], out['held']) == ('pan-y', 'none')
    assert out['third'] == ['det: a: box:BEST', True, ''] and out['box'] == pytest.approx([225, 225, 450, 675])
    assert out['up'] == 'net: late' and out['large']
