"""tools/predict.py and tools/browse.py in all three tasks, by their main(), on digit scenes and small random models."""

import json
import re
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image
from tiny_tasks import ROOT

from mmsterf.deploy import compiled, runtimes
from mmsterf.engine import cli
from mmsterf.engine.config import load_config
from mmsterf.inference.items import Items
from mmsterf.inference.pictures import colours, lines_of, place_labels, zoom_of
from mmsterf.versions import missing_for_pretraining

DET = """
_base_ = ['{root}/configs/mask_rcnn_sdt_mlpixer_digits.py']
model = dict(
    backbone=dict(arch=dict(embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1, 1))),
    neck=dict(in_channels=[8, 8, 16, 16]),
    test_cfg=dict(rpn=dict(nms_pre=30, max_per_img=12), rcnn=dict(score_thr=0.0, max_per_img=8)),
)
test_dataloader = dict(num_workers=0, persistent_workers=False)
"""
SEG = """
_base_ = ['{root}/configs/semantic_fpn_sdt_mlpixer_digits.py']
model = dict(
    backbone=dict(arch=dict(embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1, 1))),
    neck=dict(in_channels=[4, 8, 8, 16]),
)
"""
EVENTS = """
_base_ = ['{root}/configs/semantic_fpn_sdtv2_digits.py']
model = dict(
    data_preprocessor=dict(
        _delete_=True, type='mmsterf.SequenceSegDataPreprocessor', time_steps=2, test_cfg=dict(size_divisor=16)
    ),
    backbone=dict(arch=dict(embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1, 1)), in_channels=2, time_steps=2),
    neck=dict(in_channels=[4, 8, 8, 16], conv_cfg=dict(neuron=dict(time_steps=2))),
    decode_head=dict(neuron=dict(time_steps=2)),
    auxiliary_head=None,
)
load = dict(type='mmsterf.LoadEvents', time_steps=2, duration=1000)
test_dataloader = dict(dataset=dict(pipeline=[load, dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))
"""
CLS = """
_base_ = ['{root}/configs/imagenet/sdt_conv_nano_in1k.py']
model = dict(
    backbone=dict(arch=dict(_delete_=True, embed_dims=(8, 8, 16, 16)), mlp_ratio=1),
    head=dict(num_classes=2, in_channels=16),
)
pipeline = [dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')]
dataset = dict(_delete_=True, type='CustomDataset', data_root='{root_of_data}/folders', pipeline=pipeline)
train_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dict(test_mode=True, **dataset))
"""
DIGITS = tuple('0123456789')
CLASSES = {'det': DIGITS, 'seg': ('background', *DIGITS), 'cls': ('left', 'right')}
CLASSES['events'] = CLASSES['seg']


def tool(name: str, *args) -> None:
    runpy.run_path(str(ROOT / f'tools/{name}.py'), run_name=name)['main']([str(arg) for arg in args])


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Digit scenes, and the configs and checkpoints of the tasks."""
    folder = tmp_path_factory.mktemp('predict')
    converter = ROOT / 'tools/dataset_converters/make_digit_scenes.py'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [str(converter)])
        scenes = ['--train', '4', '--val', '3', '--size', '96', '96', '--scale', '24', '60', '--digits', '1', '3']
        runpy.run_path(str(converter), run_name='make')['main'](['--out', str(folder / 'scenes'), *scenes])
    for i, path in enumerate(sorted((folder / 'scenes/coco/train2017').glob('*.jpg'))):
        copy = folder / f'folders/{CLASSES["cls"][i % 2]}/{path.name}'
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope='module')
def task(data):
    """Config and checkpoint of a task, written when it is asked for."""
    made = {}

    def make(name: str) -> tuple:
        if name in made:
            return made[name]
        text = {'det': DET, 'seg': SEG, 'cls': CLS, 'events': EVENTS}[name]
        config, checkpoint = data / f'{name}.py', data / f'{name}.pth'
        config.write_text(text.replace('{root}', str(ROOT)).replace('{root_of_data}', str(data)))
        cfg = Config.fromfile(str(config))
        torch.manual_seed(1)
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            model = MODELS.build(cfg.model)
        if name == 'det':  # or masks are empty
            torch.nn.init.ones_(model.roi_head.mask_head.conv_logits.bias)
        if name in ('seg', 'events'):  # or all pixels are of one class
            torch.nn.init.normal_(model.decode_head.conv_seg.weight)
        if name == 'events':  # or no LIF neuron fires
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    torch.nn.init.normal_(module.bias, 0.5)
        meta = {'dataset_meta': {'classes': CLASSES[name]}}
        torch.save({'state_dict': model.state_dict(), 'meta': meta}, checkpoint)
        made[name] = config, checkpoint
        return made[name]

    return make


@pytest.fixture(autouse=True)
def scenes(data, monkeypatch):
    monkeypatch.setenv('MMSTERF_DIGITS_ROOT', str(data / 'scenes'))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    torch.set_num_threads(1)
    return data / 'scenes/coco/val2017'


def evaluate(annotations: Path, results: Path, kind: str) -> list:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    found = COCOeval(truth := COCO(str(annotations)), truth.loadRes(str(results)), kind)
    found.evaluate()
    found.accumulate()
    found.summarize()
    return list(found.stats[:6])


def test_detections_evaluate_to_what_the_test_tool_says(task, data, scenes, tmp_path, capsys):
    config, checkpoint = task('det')
    out = tmp_path / 'out'
    tool('predict', config, checkpoint, scenes, '--out', out, '--score', '0')
    boxes, masks, about = (
        json.loads((out / f'{name}.json').read_text()) for name in ('predictions.bbox', 'predictions.segm', 'images')
    )
    file = data / 'scenes/coco/annotations/instances_val2017.json'
    truth = json.loads(file.read_text())
    assert about['categories'] == [{'id': c['id'], 'name': c['name']} for c in truth['categories']]
    assert {i['id'] for i in about['images']} == {i['id'] for i in truth['images']}
    assert len(boxes) == len(masks) > 0 and f'ids of images are those of {file}' in capsys.readouterr().out
    for image in truth['images']:
        with Image.open(out / f'pictures/{Path(image["file_name"]).stem}.jpg') as picture:
            assert picture.size == (768, 768)
            drawn = np.asarray(picture.resize((96, 96), Image.Resampling.BOX)).astype(int)
        original = cv2.imread(str(scenes / image['file_name']))[..., ::-1].astype(int)
        difference = abs(drawn - original).max(-1)
        assert (difference < 20).mean() > 0.03 and (difference > 40).mean() > 0.03  # the image, and something on it
    # A random network finds no digits: what it found in two of three pictures, moved a little, becomes the truth.
    truth['annotations'] = [
        {**box, 'id': i + 1, 'iscrowd': 0, 'bbox': [box['bbox'][0] + i % 3, *box['bbox'][1:]],
         'area': box['bbox'][2] * box['bbox'][3], 'segmentation': mask['segmentation']}
        for i, (box, mask) in enumerate(zip(boxes, masks)) if i % 3 and box['bbox'][2] * box['bbox'][3] > 4
    ]  # fmt: skip
    own = tmp_path / 'truth.json'
    own.write_text(json.dumps(truth))
    options = [f'test_dataloader.dataset.ann_file={own}', f'test_evaluator.ann_file={own}']
    metrics = cli.test([str(config), str(checkpoint), '--work-dir', str(tmp_path / 'w'), '--cfg-options', *options])
    for kind in ('bbox', 'segm'):
        expected = [metrics[f'coco/{kind}_mAP{end}'] for end in ('', '_50', '_75', '_s', '_m', '_l')]
        assert expected[0] > 0.1
        assert evaluate(own, out / f'predictions.{kind}.json', kind) == pytest.approx(expected, abs=6e-4)


def test_label_maps_are_those_of_the_stock_inferencer(task, scenes, tmp_path, capsys):
    from mmseg.apis import MMSegInferencer

    config, checkpoint = task('seg')
    out, clip = tmp_path / 'out', tmp_path / 'clip.mp4'
    files = sorted(scenes.glob('*.jpg'))
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*'mp4v'), 5, (96, 96))
    for i in range(5):
        writer.write(cv2.imread(str(files[i % 3])))
    writer.release()
    tool('predict', config, checkpoint, f'{scenes}/*.jpg', clip, '--out', out, '--every', '2')
    said = capsys.readouterr()
    assert '6 pictures: results in' in said.out and '6/6' in said.err
    assert json.loads((out / 'classes.json').read_text())['classes'] == list(CLASSES['seg'])
    plain = tmp_path / 'plain.pth'  # names no classes: those of the config
    torch.save(torch.load(checkpoint, weights_only=True)['state_dict'], plain)
    tool('predict', config, plain, files[0], '--out', tmp_path / 'plain')
    assert (tmp_path / 'plain/classes.json').read_text() == (out / 'classes.json').read_text()
    inferencer = MMSegInferencer(str(config), str(checkpoint), device='cpu')
    frames, video = [], cv2.VideoCapture(str(clip))
    while (read := video.read())[0]:
        frames.append(read[1])
    assert len(frames) == 5
    inputs = {**{path.stem: str(path) for path in files}, **{f'clip/{i:06d}': frames[i] for i in (0, 2, 4)}}
    found = inferencer(list(inputs.values()))['predictions']
    assert len(np.unique(found)) > 2
    for name, expected in zip(inputs, found):
        assert np.array_equal(np.asarray(Image.open(out / f'label_maps/{name}.png')), expected)
    assert len(list((out / 'label_maps').rglob('*.png'))) == 6
    video = cv2.VideoCapture(str(out / 'pictures/clip.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and video.get(cv2.CAP_PROP_FPS) == pytest.approx(2.5)
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 768 < video.get(cv2.CAP_PROP_FRAME_HEIGHT)


@pytest.mark.parametrize(
    'name, backend', [('det', 'openvino'), ('seg', 'openvino'), ('cls', 'openvino'), ('det', 'nnpack')]
)
def test_backend(name, backend, task, scenes, tmp_path, capsys, monkeypatch):
    """predict.py lets another runtime run the networks: here torch.export's own. A later image has another size."""
    config, checkpoint = task(name)
    file, exported = sorted(scenes.glob('*.jpg'))[0], tmp_path / 'exported'
    Image.open(file).crop((0, 0, 90, 61)).save(tmp_path / 'odd.png')
    monkeypatch.setattr('mmsterf.deploy.runtimes._LOADERS', {'openvino': runtimes.load_torch})
    for out, flags in ((tmp_path / 'torch', []), (exported, ['--backend', backend])):
        tool('predict', config, checkpoint, file, tmp_path / 'odd.png', '--out', out, *flags)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(f'{backend} runs '))
    head = {'det': 'rpn_head', 'seg': 'decode_head', 'cls': 'backbone + head'}[name]
    assert head in line and line.endswith('differences from PyTorch, on the first image')
    kinds = {'det': 'predictions.*.json', 'seg': 'label_maps/*.png', 'cls': 'predictions.json'}
    files = sorted(exported.glob(kinds[name]))
    assert len(files) == {'det': 2, 'seg': 2, 'cls': 1}[name]
    for path in files:
        _assert_alike(path, tmp_path / 'torch' / path.relative_to(exported))


def _assert_alike(path: Path, expected: Path) -> None:
    if path.suffix == '.png':
        found, wanted = (np.asarray(Image.open(p)) for p in (path, expected))
        assert (found == wanted).mean() > 0.99
        return
    found, wanted = (json.loads(p.read_text()) for p in (path, expected))
    assert len(found) == len(wanted) > 0
    for a, b in zip(found, wanted):
        assert a['score'] == pytest.approx(b['score'], abs=1e-3)
        assert a.get('bbox', 0) == pytest.approx(b.get('bbox', 0), abs=0.05)


@pytest.mark.parametrize('name', ['det', 'seg'])
def test_tested_by_another_runtime(name, task, site, tmp_path, monkeypatch):
    """A checkpoint behind an address; the last batch is smaller."""
    config, checkpoint = task(name)
    (site.folder / 'model.pth').write_bytes(checkpoint.read_bytes())
    runs = []

    def counted(*args):
        run = runtimes.load_torch(*args)
        return lambda x: runs.append(x.shape) or run(x)

    monkeypatch.setattr('mmsterf.deploy.runtimes._LOADERS', {'openvino': counted})
    found = []
    for flags in ([], ['--backend', 'openvino']):
        assert not runs
        args = [str(config), f'{site.url}/model.pth', '--work-dir', str(tmp_path / 'work'), *flags]
        found.append(cli.test([*args, '--cfg-options', 'test_dataloader.batch_size=2']))
    wholes = [shape for shape in runs if shape[1] == 3]
    assert [len(shape) for shape in wholes] == [4] * 3 and [shape[0] for shape in wholes] == [2, 2, 1]
    assert site.asked == ['/model.pth']
    assert found[0].keys() == found[1].keys() and len(found[0]) > 2
    for key, value in found[0].items():
        assert found[1][key] == pytest.approx(value, abs=0.5 if name == 'seg' else 0.005, nan_ok=True), key


@pytest.mark.parametrize('name, backend', [('det', 'openvino+nnpack'), ('seg', 'openvino'), ('seg', 'nnpack')])
def test_stock_inferencers_with_another_runtime(name, backend, task, scenes, monkeypatch, needs):
    """mmdet's and mmseg's, as docs/deployment.md shows; images of two sizes."""
    needs(backend)
    config, checkpoint = task(name)
    monkeypatch.setattr('mmsterf.deploy.winograd._CHANNELS', 8)
    monkeypatch.setattr('mmsterf.deploy.winograd._PIXELS', 64)
    if name == 'det':
        from mmdet.apis import DetInferencer as Inferencer
    else:
        from mmseg.apis import MMSegInferencer as Inferencer
    inferencer = Inferencer(str(config), str(checkpoint), device='cpu')
    image = cv2.imread(str(sorted(scenes.glob('*.jpg'))[0]))
    images = [image, image[:61, :90]]
    plain = inferencer(images)['predictions']
    inferencer.model = compiled(inferencer.model, backend, torch.rand(1, 3, 96, 96))
    for a, b in zip(plain, inferencer(images)['predictions']):
        if name == 'det':
            assert len(a['scores']) > 1 and a['labels'] == b['labels']
            assert a['scores'] == pytest.approx(b['scores'], abs=1e-3)
            np.testing.assert_allclose(a['bboxes'], b['bboxes'], atol=0.05)
        else:
            assert len(np.unique(a)) > 2 and (np.asarray(a) == np.asarray(b)).mean() > 0.99


def test_backends_that_cannot_be(task, tmp_path):
    config, checkpoint = task('seg')
    for flags, text in (
        (['--precision', 'bf16'], "precision must be f32, or bf16 with openvino; got 'bf16' with torch"),
        (['--backend', 'onnxruntime', '--spike-driven'], '--spike-driven looks into PyTorch'),
    ):
        with pytest.raises(SystemExit, match=re.escape(text)):
            cli.test([str(config), str(checkpoint), *flags])


def test_images_of_all_kinds(task, scenes, tmp_path, capsys):
    config, checkpoint = task('seg')
    folder, out = tmp_path / 'in', tmp_path / 'out'
    folder.mkdir()
    image = Image.open(sorted(scenes.glob('*.jpg'))[0])
    grey = np.asarray(image.convert('L'))
    image.save(folder / 'colour.png')
    image.convert('L').save(folder / 'grey.png')
    image.convert('RGBA').save(folder / 'alpha.png')
    image.convert('CMYK').save(folder / 'cmyk.jpg')
    cv2.imwrite(str(folder / 'deep.png'), grey.astype(np.uint16) * 256 + 7)
    image.crop((0, 0, 41, 77)).save(folder / 'odd.webp')
    jpeg = sorted(scenes.glob('*.jpg'))[0].read_bytes()
    (folder / 'cut.jpg').write_bytes(jpeg[: len(jpeg) // 2])
    (folder / 'empty.png').touch()
    (folder / 'clip.mp4').write_bytes(b'no video')
    with pytest.raises(SystemExit) as end:
        tool('predict', config, checkpoint, folder, '--out', out)
    assert end.value.code == 'error: 3 of 9 inputs could not be read, see above'
    lines = capsys.readouterr().out.splitlines()
    for name in ('cut.jpg', 'empty.png', 'clip.mp4'):
        assert len([line for line in lines if line.startswith(f'{folder / name}: ')]) == 1
    for kind in ('grey', 'with transparency', 'CMYK', '16-bit grey'):
        assert f'converted to 8-bit BGR: 1 ({kind})' in lines
    found = {path.stem: np.asarray(Image.open(path)) for path in (out / 'label_maps').iterdir()}
    assert set(found) == {'colour', 'grey', 'alpha', 'cmyk', 'deep', 'odd'}
    assert np.array_equal(found['colour'], found['alpha']) and np.array_equal(found['grey'], found['deep'])
    assert found['odd'].shape == (77, 41)
    assert not list(out.rglob('.*'))


def test_what_is_refused(task, data, scenes, tmp_path):
    det, seg = task('det'), task('seg')
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'mine.txt').write_text('mine')
    wrong = torch.load(det[1], weights_only=True)
    wrong['meta']['dataset_meta']['classes'] = ('a', 'b')
    torch.save(wrong, tmp_path / 'wrong.pth')
    for args, message in (
        ((*det, tmp_path / 'nothing.jpg'), f'INPUT {tmp_path}/nothing.jpg: is not there'),
        ((*det, f'{scenes}/*.tiff'), r'holds no images or videos among what it matches'),
        ((*det, scenes, '--out', out), 'holds mine.txt not written by predict.py'),
        ((det[0], seg[1], scenes), 'does not fit the MaskRCNN of the config'),
        ((det[0], tmp_path / 'wrong.pth', scenes), r'num_classes is 10, but .* name 2 classes \(a, b\)'),
        ((*det, scenes, '--score', '2'), None),
    ):
        with pytest.raises(SystemExit) as end:
            tool('predict', *args, *([] if '--out' in args else ['--out', tmp_path / 'new']))
        if message is None:
            assert end.value.code == 2
        else:
            assert re.search(message, str(end.value.code)), end.value.code
    assert [path.name for path in out.iterdir()] == ['mine.txt'] and not (tmp_path / 'new').exists()


def test_names_and_ids(scenes, tmp_path):
    file = sorted(scenes.glob('*.jpg'))[0]
    (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / file.with_suffix('.jpeg').name).write_bytes(file.read_bytes())
    items = Items([str(scenes), str(file), str(tmp_path)])
    names = [item.name for item in items]
    assert items.total == len(names) == 5 == len(set(names))
    assert f'{file.stem}_2' in names and f'{file.stem}_3' in names
    from mmsterf.inference.det import COCO_SKIPS

    assert len(COCO_SKIPS) == 90 - 80


def test_events_are_coloured():
    from mmsterf.events.drawing import coloured

    maps = np.zeros((4, 1, 3))
    maps[:, 0, 0], maps[1, 0, 1] = (3, 0, 3, 0), 1  # darker in both steps; brighter, once
    dark, bright, none = coloured(maps)[0].astype(int)
    assert dark[0] > 200 > dark[2] and bright[2] > bright[0] > dark[2] and (none == 255).all()
    assert np.array_equal(coloured(maps[1::2] - maps[::2], signed=True)[0], [dark, bright, none])


def test_sheets_of_events():
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    from mmsterf.inference.sheet import drawn

    class Windows(list):
        metainfo = {'classes': ('ground', 'car')}

    maps = torch.zeros(4, 40, 50)
    maps[1, :20] = 9  # brighter, above
    labels = torch.full((1, 40, 50), 255)
    labels[:, :, :5] = 1
    item = {'inputs': maps, 'data_samples': SegDataSample(gt_sem_seg=PixelData(data=labels))}
    palette = [[9, 9, 9], [200, 30, 30]]
    cells = list(drawn(Windows([item] * 4), 'mmseg', 2, {'type': 'mmsterf.LoadEvents'}, palette))
    assert len(cells) == 2 and cells[0].shape == (504, 480, 3)
    above, below, left = (cells[0][y, x].astype(int) for y, x in ((150, 300), (350, 300), (350, 24)))
    assert above[0] > 200 > above[2] and (below == 255).all() and left[0] > 200 > left[1]


def test_palettes_by_lot_or_of_other_classes_are_not_kept():
    from mmdet.datasets import CocoDataset

    from mmsterf.engine.data_checks import named_palette
    from mmsterf.inference.predictor import _palette

    lot, named = [[1, 2, 3]], [[4, 5, 6]]
    assert _palette(('road',), None, lot) is None
    assert _palette(('road',), named, lot) == _palette(None, None, lot) == lot
    coco = CocoDataset.METAINFO
    assert named_palette({}, CocoDataset) == named_palette({'metainfo': {'classes': coco['classes']}}, CocoDataset)
    assert named_palette({}, CocoDataset) == coco['palette']
    assert named_palette({'metainfo': {'classes': ('road',)}}, CocoDataset) is None
    assert named_palette({'metainfo': {'classes': ('road',), 'palette': named}}, CocoDataset) == named


def test_pictures_are_legible():
    assert [zoom_of(*size) for size in ((10, 8), (96, 96), (480, 640), (3000, 4000))] == [80, 8, 1, 1]
    for number in (3, 15, 150):
        assert len(set(colours(number))) == number
    assert colours(2, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]) == [(1, 2, 3), (4, 5, 6)]
    lines = lines_of([((255, 0, 0), 'first'), (None, 'second ' * 40)], 200, 14)
    assert lines.shape == (2 * 22, 200, 3) and (lines[:22] == (255, 0, 0)).all(-1).sum() > 100
    assert (lines[22:] < 128).any()
    assert lines_of([(None, 'x')] * 50, 100, 14, rows=1).shape == (22, 100, 3)


def test_labels_of_boxes_leave_each_other_room():
    """Eight boxes that are nearly the same; the best, which are last, have their labels at the usual place."""
    boxes, sizes = [(100 + i, 60 + i, 150, 130) for i in range(8)], [(50, 14)] * 8
    places = place_labels(boxes, sizes, 300, 200)
    assert places[-1] == (107, 67 - 14)
    for i, (x, y) in enumerate(places):
        assert 0 <= x <= 250 and 0 <= y <= 186
        assert all(abs(x - u) >= 50 or abs(y - v) >= 14 for u, v in places[:i])
    assert place_labels([(5, 3, 40, 90)], [(60, 14)], 50, 100) == [(0, 0)]  # larger than the picture


@pytest.mark.skipif(bool(missing_for_pretraining()), reason='mmpretrain is optional')
def test_classes_of_images(task, scenes, tmp_path, capsys):
    from mmpretrain.apis import ImageClassificationInferencer

    config, checkpoint = task('cls')
    tool('predict', config, checkpoint, scenes, '--out', tmp_path / 'out')
    found = json.loads((tmp_path / 'out/predictions.json').read_text())
    inferencer = ImageClassificationInferencer(Config.fromfile(str(config)), str(checkpoint), 'cpu')
    expected = inferencer([item['file_name'] for item in found])
    assert len(found) == 3
    for item, other in zip(found, expected):
        assert item['scores'] == pytest.approx(other['pred_scores'].tolist(), abs=1e-6)
        assert item['class'] == other['pred_class'] == CLASSES['cls'][item['label']]
        assert (tmp_path / f'out/pictures/{Path(item["file_name"]).stem}.jpg').is_file()
    assert '3 pictures: results in' in capsys.readouterr().out


def test_event_recordings(task, scenes, tmp_path, capsys):
    from mmsterf.events import EVENT

    config, checkpoint = task('events')
    rng = np.random.default_rng(0)
    events = np.zeros(4000, EVENT)
    events['x'], events['y'], events['p'] = (
        rng.integers(0, 50, 4000),
        rng.integers(0, 40, 4000),
        rng.integers(0, 2, 4000),
    )
    events['t'] = np.sort(rng.integers(5000, 8500, 4000))
    events['t'][[0, -1]] = 5000, 8499
    folder, out = tmp_path / 'in', tmp_path / 'out'
    folder.mkdir()
    np.save(folder / 'moves.npy', events)
    np.savez(folder / 'bad.npz', other=np.zeros(3))
    with pytest.raises(SystemExit, match='it has other; the other 4 inputs are done') as end:
        tool('predict', config, checkpoint, folder, '--out', out, '--sensor', '40', '50')
    assert f'{folder}/bad.npz: ' in end.value.code
    video = cv2.VideoCapture(str(out / 'pictures/moves.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4 and video.get(cv2.CAP_PROP_FRAME_WIDTH) == 800
    found = [np.asarray(Image.open(out / f'label_maps/moves/{i:06d}.png')) for i in range(4)]
    assert all(label_map.shape == (40, 50) for label_map in found) and len(np.unique(found[1])) > 1
    # The same by the model alone, on the second window.
    inside = events[(events['t'] >= 6000) & (events['t'] < 7000)]
    maps = torch.zeros(2, 1, 2, 40, 50)
    steps = (inside['t'] - 6000) // 500
    indices = (steps, steps * 0, *(inside[key] for key in 'pyx'))
    indices = [torch.as_tensor(values.astype(np.int64)) for values in indices]
    maps.index_put_(indices, torch.ones(len(inside)), accumulate=True)
    cfg = Config.fromfile(str(config))
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    maps = torch.nn.functional.pad(maps, (0, 14, 0, 8))
    with torch.no_grad():
        logits = model.decode_head(model.neck(model.backbone(maps)))
    logits = torch.nn.functional.interpolate(logits, (48, 64), mode='bilinear')[0, :, :40, :50]
    assert np.array_equal(logits.argmax(0).numpy(), found[1])
    for args, message in (
        ((config, checkpoint, scenes), 'holds no event recordings'),
        ((*task('seg'), folder / 'moves.npy'), 'is an event recording, and the test pipeline of the config has no'),
        (
            (config, checkpoint, folder / 'moves.npy'),
            r'moves\.npy: does not say how large its sensor is: give --sensor',
        ),
    ):
        with pytest.raises(SystemExit, match=message):
            tool('predict', *args, '--out', tmp_path / 'new')


@pytest.mark.parametrize('name', ['det', 'seg', 'cls'])
def test_sheets(name, task, tmp_path, capsys):
    if name == 'cls' and missing_for_pretraining():
        pytest.skip('mmpretrain is optional')
    config, out = task(name)[0], tmp_path / 'sheet.png'
    tool('browse', config, '--out', out, '--num', '3')
    sheet = np.asarray(Image.open(out))
    assert sheet.shape == (2 * (480 + 24 + 8) + 8, 2 * 488 + 8, 3)
    assert f'{out}: 3 of 4 pictures, 984 x 1032 pixels' in capsys.readouterr().out
    for top, left in ((8, 8), (8, 496), (520, 8)):
        assert sheet[top : top + 480, left : left + 480].std() > 15
        assert (sheet[top + 480 : top + 504, left : left + 480] < 100).any()  # the file's name
    assert (sheet[520:, 496:] == 255).all()
    with pytest.raises(SystemExit, match='exists already'):
        tool('browse', config, '--out', out)
    if name == 'det':
        tool('browse', config, '--out', tmp_path / 'plain.png', '--num', '3', '--seed', '1')
        assert not np.array_equal(np.asarray(Image.open(tmp_path / 'plain.png')), sheet)  # augmented otherwise


def test_boxes_of_a_sheet_are_resized_with_the_image(task):
    """Stock test pipelines load labels behind Resize, as they are in the file."""
    from mmsterf.inference.sheet import training_set

    cfg = load_config(str(task('det')[0]))
    leaf = cfg.val_dataloader.dataset
    load, pack = leaf.pipeline[0], leaf.pipeline[-1]
    boxes = []
    for scale in (1.0, 2.0):
        resize, labels = (
            dict(type='Resize', scale_factor=scale, keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True),
        )
        leaf.pipeline = [load, resize, labels, pack]
        boxes.append(training_set(cfg, 'val')[0]['data_samples'].gt_instances.bboxes.tensor)
    torch.testing.assert_close(boxes[1], 2 * boxes[0])


def test_detector_by_the_stock_inferencer_on_frames(task, scenes):
    from mmdet.apis import DetInferencer

    config, checkpoint = task('det')
    frames = [cv2.imread(str(path)) for path in sorted(scenes.glob('*.jpg'))]
    found = DetInferencer(str(config), str(checkpoint), 'cpu', show_progress=False)(frames)['predictions']
    assert len(found) == 3 and all(len(one['bboxes']) == len(one['masks']) == 8 for one in found)
