"""benchmarks/survey.py: every family has a config, and a run is judged by what it left."""

import importlib.util
import json
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location('survey', Path(__file__).parents[2] / 'benchmarks' / 'survey.py')
survey = importlib.util.module_from_spec(spec)
spec.loader.exec_module(survey)

FINE, NOISE = {'layer': 'a', 'cancels': False, 'nonzero': 0.5}, {'layer': 'b', 'cancels': True, 'nonzero': 1.0}
EMPTY = {'layer': 'c', 'cancels': False, 'nonzero': 0.0}
TRACE = 'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: 3\n'


def test_every_family_has_a_small_config():
    found = survey.families()
    assert len(found.keys() - {'mmdet/clrnet'}) == 168  # which the onedl fork has
    assert found['mmdet/retinanet'] == 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
    assert found['mmseg/segformer'] == 'mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py'


@pytest.mark.parametrize(
    ('code', 'log', 'rows', 'expected'),
    [
        (0, 'x: 100%\rwarning: x: look\n', [FINE], ('fine', '1 maps; x: look')),
        (0, '', [FINE, NOISE, EMPTY], ('wrong', 'b is noise, c is empty')),
        (1, 'x\nerror: no such thing\n', None, ('refused', 'no such thing')),
        (1, 'error: one\nerror: two\n', None, ('wrong', "status 1: ['error: two']")),
        (1, TRACE, None, ('wrong', 'KeyError: 3')),
        (1, 'error: the survey has no network, and something asked for it\n', None, ('wrong', 'asks for the network')),
        (-9, '', None, ('wrong', 'killed by signal 9')),
        (None, '', None, ('wrong', 'ran out of time')),
    ],
)
def test_runs_are_judged(tmp_path, code, log, rows, expected):
    if rows:
        (tmp_path / 'metrics.json').write_text(json.dumps({'layers': rows}))
    assert survey.judge(code, log, tmp_path) == expected


@pytest.mark.parametrize(
    ('notes', 'expected'), [('', ('fine', 'box:BEST 0.500')), ('no gradient', ('refused', 'no gradient'))]
)
def test_answers_are_judged(tmp_path, notes, expected):
    row = {'target': 'box:BEST', 'score': 0.5, 'notes': notes}
    (tmp_path / 'answers.json').write_text(json.dumps({'layers': [row]}))
    assert survey.judge(0, '', tmp_path) == expected


def test_answers_are_asked_for_again_as_a_refusal_advises(monkeypatch):
    asked = []

    def run(config, args, options):
        asked.append(options)
        low = '--cfg-options' in options
        return (
            ('fine', 'x')
            if low
            else ('refused', 'found no box (--cfg-options model.test_cfg.a=0 lowers its threshold)')
        )

    monkeypatch.setattr(survey, 'run', run)
    assert survey.answered('mmdet::a/b.py', None) == ('fine', 'x')
    assert asked[0][:2] == ['--target', 'box:BEST'] and asked[1] == [*asked[0], '--cfg-options', 'model.test_cfg.a=0']
    survey.answered('mmseg::a/b.py', None)
    assert asked[2][1] == 'pixel:20,30'


def test_answers_are_asked_for_at_a_size_that_works(monkeypatch):
    asked = []

    def run(config, args, options):
        asked.append(options)
        size = options[options.index('--size') + 1 :][:2]
        text = 'A cannot take inputs of 128 x 160 (small); a size that works is 300 x 320'
        return ('refused', text) if size == ['128', '160'] else ('refused', 'none (--cfg-options model.a=0 lowers it)')

    monkeypatch.setattr(survey, 'run', run)
    assert survey.answered('mmdet::a/b.py', None)[0] == 'refused'
    assert asked[2:] == [['--target', 'box:BEST', '--size', '300', '320', '--cfg-options', 'model.a=0']]
