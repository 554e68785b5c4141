"""init_config.py: every format to a config that trains and predicts, and bad data in one sentence."""

import json
import runpy
import sys
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import made_data as made

from mmsterf.engine.cli import test as evaluate
from mmsterf.engine.cli import train
from mmsterf.engine.config import load_config
from mmsterf.errors import InvalidInput
from mmsterf.owndata.files import divide, split_of
from mmsterf.owndata.making import make_config
from mmsterf.versions import missing_for_pretraining

TINY = """
_base_ = './{name}.py'
model = dict(backbone=dict(arch=dict(_delete_=True, embed_dims=(8, 8, 16, 16)), mlp_ratio=1), {rest})
train_dataloader = dict(num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
log_level = 'ERROR'
"""
REST = {
    'det': 'neck=dict(in_channels=[8, 8, 16, 16])',
    'seg': 'neck=dict(in_channels=[4, 8, 8, 16])',
    'cls': 'head=dict(in_channels=16)',
}
TASKS = (
    [('det', name) for name in made.DETECTION] + [('seg', name) for name in made.SEGMENTATION] + [('cls', 'folders')]
)
MAKERS = {**made.DETECTION, **made.SEGMENTATION, 'folders': made.make_folders}


def make(tmp_path: Path, task: str, name: str, **options):
    data = tmp_path / name
    data.mkdir()
    MAKERS[name](data)
    before = {path: path.read_bytes() for path in data.rglob('*') if path.is_file()}
    found = make_config(str(data), task, out=str(tmp_path / f'{name}.py'), **options)
    assert before == {path: path.read_bytes() for path in data.rglob('*') if path.is_file()}  # nothing was touched
    return found


def boxes(cfg, split: str) -> list:
    leaf = cfg[f'{split}_dataloader'].dataset
    data = json.loads(Path(leaf.data_root, leaf.ann_file).read_text())
    names = {entry['id']: entry['name'] for entry in data['categories']}
    assert all(Path(leaf.data_root, leaf.data_prefix.img, i['file_name']).is_file() for i in data['images'])
    return [(names[a['category_id']], tuple(a['bbox'])) for a in data['annotations']]


@pytest.mark.parametrize('task, name', TASKS, ids=lambda value: value)
def test_every_format_trains_and_predicts(tmp_path, capsys, task, name):
    if task == 'cls' and missing_for_pretraining():
        pytest.skip('mmpretrain is optional')
    found = make(tmp_path, task, name, iters=2)
    told = capsys.readouterr().out
    config = str(tmp_path / f'{name}.py')
    cfg = load_config(config)
    if task == 'det':
        assert found.classes == ['cat', 'dog'] and f'cat {found.counts["train"]}, dog' in told
        for split in ('train', 'val'):
            got = boxes(cfg, split)
            assert got == [('cat', made.BOXES[0]), ('dog', made.BOXES[1])] * found.counts[split]
    assert len(found.classes) == {'camvid': 3, 'cityscapes': 3}.get(name, 2)
    head = {'det': ('roi_head', 'bbox_head'), 'seg': ('decode_head',), 'cls': ('head',)}[task]
    node = cfg.model
    for part in head:
        node = node[part]
    assert node.num_classes == len(found.classes)
    tiny = tmp_path / 'tiny.py'
    tiny.write_text(TINY.format(name=name, rest=REST[task]))
    runner = train([str(tiny), '--work-dir', str(tmp_path / 'work')])
    assert runner.iter == 2
    item = runner.val_dataloader.dataset[0]
    with torch.no_grad():
        sample = runner.model.eval().test_step({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})[0]
    if task == 'det':
        assert hasattr(sample.pred_instances, 'bboxes')
    elif task == 'seg':
        assert sample.pred_sem_seg.data.shape == (1, 48, 64)
    else:
        assert sample.pred_score.shape == (2,)


def test_stock_tools_read_what_is_generated(tmp_path, monkeypatch, capsys):
    """mmdet's own, as they are installed, on a generated config that was trained and tested."""
    make(tmp_path, 'det', 'coco', iters=2)
    tiny, results = tmp_path / 'tiny.py', tmp_path / 'out.pkl'
    tiny.write_text(TINY.format(name='coco', rest=REST['det']) + 'test_dataloader = val_dataloader\n')
    train([str(tiny), '--work-dir', str(tmp_path / 'work')])
    checkpoint = tmp_path / 'work/iter_2.pth'
    evaluate([str(tiny), str(checkpoint), '--work-dir', str(tmp_path / 'work'), '--out', str(results)])
    capsys.readouterr()

    def stock(tool: str, *args) -> str:
        file = Path(mmdet.__file__).parent / '.mim/tools' / tool
        monkeypatch.setattr(sys, 'argv', [str(file), *map(str, args)])
        runpy.run_path(str(file), run_name='__main__')
        return capsys.readouterr().out

    assert "type='mmsterf.MetaSDT'" in stock('misc/print_config.py', tiny)
    assert "'coco/segm_mAP_50'" in stock('analysis_tools/eval_metric.py', tiny, results)
    stock('analysis_tools/browse_dataset.py', tiny, '--output-dir', tmp_path / 'browse', '--not-show')
    stock('analysis_tools/confusion_matrix.py', tiny, results, tmp_path / 'confusion')
    assert len(list((tmp_path / 'browse').rglob('*.jpg'))) == 4
    assert (tmp_path / 'confusion/confusion_matrix.png').stat().st_size > 5000


def test_colours_become_indices(tmp_path, capsys):
    found = make(tmp_path, 'seg', 'colours')
    assert found.classes == ['dog', 'cat'] and found.palette == [[200, 0, 0], [0, 0, 200]]
    expected = np.array([255, 1, 0], np.uint8)[made.label_map()]  # void, cat in blue, dog in red
    files = sorted((tmp_path / 'colours_mmsterf' / 'labels').rglob('*.png'))
    assert len(files) == 5
    for file in files:
        np.testing.assert_array_equal(np.asarray(Image.open(file)), expected)
    assert 'made one by the seed 0' in capsys.readouterr().out


def test_values_are_ignored_and_named(tmp_path):
    data = tmp_path / 'camvid'
    data.mkdir()
    made.make_camvid(data)
    out = str(tmp_path / 'a.py')
    with pytest.raises(InvalidInput, match=r'has 3 names.*but the label maps have 2 values: 0, 1; --ignore'):
        make_config(str(data), 'seg', out=out, classes=['a', 'b', 'c'], ignore=['2'])
    with pytest.raises(InvalidInput, match=r'--ignore 9: no label map has it; they have 0, 1, 2'):
        make_config(str(data), 'seg', out=out, ignore=['9'])
    assert [path.name for path in tmp_path.iterdir()] == ['camvid']  # nothing is left
    found = make_config(str(data), 'seg', out=out, classes=['ground', 'cat'], ignore=['2'])
    leaf = load_config(out).train_dataloader.dataset
    labels = np.asarray(Image.open(Path(leaf.data_root, leaf.data_prefix.seg_map_path, 'train/0.png.png')))
    assert found.classes == ['ground', 'cat'] and sorted(np.unique(labels)) == [0, 1, 255]


def test_binary_masks_are_numbered(tmp_path, capsys):
    data = tmp_path / 'data'
    data.mkdir()
    for i in range(3):
        made.picture(data / 'images' / f'{i}.jpg', i)
        (data / 'masks').mkdir(exist_ok=True)
        Image.fromarray(np.uint8(made.label_map() > 0) * 255).save(data / 'masks' / f'{i}.png')
    found = make_config(str(data), 'seg', out=str(tmp_path / 'a.py'), classes=['ground', 'thing'])
    assert 'values 0, 255 are numbered 0 to 1' in capsys.readouterr().out
    assert found.classes == ['ground', 'thing']


def test_maps_of_16_bits_are_written_anew(tmp_path):
    """Also beside photographs that a camera has stored lying."""
    data = tmp_path / 'data'
    data.mkdir()
    made.make_camvid(data)
    Image.fromarray(made.label_map().astype(np.uint16)).save(data / 'trainannot/0.png')
    turned = Image.open(data / 'train/0.png').transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    (data / 'train/0.png').unlink()
    turned.save(data / 'train/0.jpg', exif=exif)
    make_config(str(data), 'seg', out=str(tmp_path / 'a.py'))
    written = Image.open(next((tmp_path / 'data_mmsterf/labels/train').glob('0.*')))
    assert written.mode == 'L'
    np.testing.assert_array_equal(np.asarray(written), made.label_map())


def test_divisions_are_repeatable():
    names = [f'{i}.jpg' for i in range(10)]
    first, again = divide(names, 0), divide(names[::-1], 0)
    assert sorted(first['val']) == sorted(again['val']) and len(first['val']) == 2
    assert sorted(divide(names, 1)['val']) != sorted(first['val'])
    by_class = divide(names, 0, ['a'] * 9 + ['b'])
    assert '9.jpg' in by_class['train']  # the only one of its class
    with pytest.raises(InvalidInput, match='two at least'):
        divide(names[:1], 0)


@pytest.mark.parametrize(
    'path, split',
    [
        ('annotations/instances_train2017.json', 'train'),
        ('valid/_annotations.coco.json', 'val'),
        ('trainannot/1.png', 'train'),
        ('gtFine/test/ulm/a.png', 'test'),
        ('constraint/contest.png', None),
        ('train/valley.jpg', 'train'),
    ],
)
def test_split_by_name(path, split):
    assert split_of(Path(path)) == split


def test_yolo_as_supervision_reads_it(tmp_path):
    supervision = pytest.importorskip('supervision')
    make(tmp_path, 'det', 'yolo')
    root = tmp_path / 'yolo'
    data = supervision.DetectionDataset.from_yolo(
        str(root / 'train/images'), str(root / 'train/labels'), str(root / 'data.yaml')
    )
    theirs = [box for _, _, item in data for box in item.xyxy]
    ours = [(x, y, x + w, y + h) for _, (x, y, w, h) in boxes(load_config(str(tmp_path / 'yolo.py')), 'train')]
    np.testing.assert_allclose(sorted(map(tuple, ours)), sorted(map(tuple, theirs)), atol=0.01)


def _break(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize(
    'task, name, damage, message',
    [
        ('det', 'yolo', ('train/labels/0.txt', '0 ', '7 '), r'0\.txt, line 1 has the class 7; there are 2, 0 to 1'),
        ('det', 'yolo', ('train/labels/0.txt', '0 ', '0 x '), r'0\.txt, line 1 is .*valid are numbers'),
        ('det', 'yolo', ('data.yaml', 'train: ../train/images', 'train: nil'), r'train is nil, but .* not there'),
        ('det', 'voc', ('Annotations/0.xml', '<xmin>', '<xmax>'), r'0\.xml.* no XML'),
        ('det', 'voc', ('Annotations/0.xml', '0.jpg', '9.jpg'), None),  # found by its own name
        ('det', 'labelme', ('1.json', '"points"', '"point"'), r'1\.json: shapes\[0\]'),
        ('det', 'labelme', ('1.json', '1.jpg', '../away/9.jpg'), None),
        ('det', 'via', ('train/via_region_data.json', '"width": 20', '"width": "x"'), r'region 0 of 0\.jpg is'),
        ('det', 'coco', ('annotations/instances_val.json', '"bird"', '"fish"'), r"categories of train and val differ"),
        ('det', 'coco', ('annotations/instances_train.json', '"bbox"', '"box"'), r'has no bbox'),
        ('det', 'camvid', None, r'no annotations for detection .*: COCO .* its files are 12 \.png'),
        ('seg', 'folders', None, r'has 8 images and 0 label maps'),
        ('cls', 'camvid', None, r'train has no image|folders with images'),
    ],
)  # fmt: skip
def test_bad_data(tmp_path, task, name, damage, message):
    data = tmp_path / 'data'
    data.mkdir()
    MAKERS[name](data)
    if damage:
        _break(data / damage[0], *damage[1:])
    arguments = dict(out=str(tmp_path / 'a.py'), whole=False)
    if message is None:
        make_config(str(data), task, **arguments)
        return
    with pytest.raises(InvalidInput, match=message):
        make_config(str(data), task, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_one_file_of_a_folder_of_annotations(tmp_path):
    """Its images are looked for beside that folder, and divided."""
    data = tmp_path / 'data'
    data.mkdir()
    made.make_coco(data)
    out = tmp_path / 'a.py'
    found = make_config(str(data / 'annotations/instances_train.json'), 'det', out=str(out))
    assert found.root == data and found.counts == {'train': 3, 'val': 1}
    assert boxes(load_config(str(out)), 'val') == [('cat', made.BOXES[0]), ('dog', made.BOXES[1])]


def test_names_with_folders_in_them(tmp_path):
    """Each split has its own folder of folders, and the same names in them."""
    data = tmp_path / 'data'
    for split in ('train', 'val'):
        names = [f'set {i % 2}/Bild {i}.JPG' for i in range(3)]
        for i, name in enumerate(names):
            made.picture(data / 'Bilder' / split / name, i)
        (data / f'{split}.json').write_text(json.dumps(made.coco(data, names)))
    make_config(str(data), 'det', out=str(tmp_path / 'a.py'))
    cfg = load_config(str(tmp_path / 'a.py'))
    assert [cfg[f'{s}_dataloader'].dataset.data_prefix.img for s in ('train', 'val')] == [
        'Bilder/train/',
        'Bilder/val/',
    ]
    assert len(boxes(cfg, 'val')) == 6


def test_other_annotations_are_told(tmp_path, capsys):
    data = tmp_path / 'data'
    data.mkdir()
    made.make_coco(data)
    (data / 'left.xml').write_text('<annotation/>')
    make_config(str(data), 'det', out=str(tmp_path / 'a.py'))
    assert 'the annotations are taken from COCO; not read are 1 .xml' in capsys.readouterr().out


@pytest.mark.parametrize('names', [("cat's", 'a "dog"'), ('狗', 'Hündin'), ('cat',)])
def test_names_as_they_are(tmp_path, names):
    """Quotes, other scripts, a single class, and one that never occurs."""
    data = tmp_path / 'data'
    data.mkdir()
    made.make_one_coco(data)
    content = json.loads((data / 'labels.json').read_text())
    content['categories'] = [{'id': i, 'name': name} for i, name in enumerate((*names, 'never'), 1)]
    content['annotations'] = [a for a in content['annotations'] if a['category_id'] <= len(names)]
    (data / 'labels.json').write_text(json.dumps(content))
    out = tmp_path / 'a.py'
    found = make_config(str(data), 'det', out=str(out))
    cfg = load_config(str(out))
    assert found.classes == list(names) and tuple(cfg.train_dataloader.dataset.metainfo.classes) == names
    assert cfg.model.roi_head.bbox_head.num_classes == len(names)


def test_files_are_not_overwritten(tmp_path):
    make(tmp_path, 'det', 'one_coco')
    config = tmp_path / 'one_coco.py'
    text = config.read_text()
    with pytest.raises(InvalidInput, match='exists already'):
        make_config(str(tmp_path / 'one_coco'), 'det', out=str(config))
    with pytest.raises(InvalidInput, match='is there with other contents: another config may use it'):
        make_config(str(tmp_path / 'one_coco'), 'det', out=str(tmp_path / 'b.py'), seed=1)
    assert config.read_text() == text and not (tmp_path / 'b.py').exists()
    make_config(str(tmp_path / 'one_coco'), 'det', out=str(tmp_path / 'b.py'))  # the same files


def test_broken_images_are_named(tmp_path):
    data = tmp_path / 'coco'
    data.mkdir()
    made.make_coco(data)
    image = data / 'train/train1.jpg'
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(InvalidInput, match=r'train1\.jpg is no image'):
        make_config(str(data), 'det', out=str(tmp_path / 'a.py'))
    assert not (tmp_path / 'a.py').exists()


@pytest.fixture
def weights(tmp_path):
    """Data, and a state dict of the shipped tiny detector, of 80 classes."""
    from mmengine.registry import MODELS

    data = tmp_path / 'data'
    data.mkdir()
    made.make_coco(data)
    cfg = load_config('mmsterf::mask_rcnn_sdt_mlpixer_tiny.py')
    with MODELS.switch_scope_and_registry('mmdet') as registry:
        return str(data), registry.build(cfg.model).state_dict()


def test_published_weights_keep_their_form(weights, tmp_path, capfd, logged):
    """All but what has a shape for each class is loaded, and that is listed."""
    from mmengine.registry import MODELS
    from mmengine.runner import load_checkpoint

    from mmsterf.checkpoint import is_published, to_published

    data, state = weights
    published = to_published(state)
    assert is_published(published)
    torch.save({'model': published}, tmp_path / 'published.pth')
    make_config(data, 'det', out=str(tmp_path / 'a.py'), pretrained=str(tmp_path / 'published.pth'))
    told = ''.join(capfd.readouterr()) + logged.getvalue()
    heads = [f'roi_head.{head}' for head in ('bbox_head.fc_cls', 'bbox_head.fc_reg', 'mask_head.conv_logits')]
    assert '6 of another shape in it' in told and all(name in told for name in heads)
    cfg = load_config(str(tmp_path / 'a.py'))
    assert cfg.load_from == str(tmp_path / 'published.pth') and cfg.model.neck.get('norm_cfg') is None
    assert cfg.model.backbone.get('attention_scale', 'published') == 'published'
    with MODELS.switch_scope_and_registry('mmdet') as registry:
        model = registry.build(cfg.model)
    load_checkpoint(model, cfg.load_from, logger='silent')  # what a training begins with
    loaded = model.state_dict()
    fitting = {key for key in state if loaded[key].shape == state[key].shape}
    assert len(state) - len(fitting) == 6 and all(torch.equal(loaded[key], state[key]) for key in fitting)


def test_a_backbone_goes_below_heads_of_our_own(weights, tmp_path, logged):
    data, state = weights
    backbone = {key: value for key, value in state.items() if key.startswith('backbone.')}
    torch.save({'state_dict': {**backbone, 'head.fc.weight': torch.zeros(5, 192)}}, tmp_path / 'backbone.pth')
    make_config(data, 'det', out=str(tmp_path / 'b.py'), pretrained=str(tmp_path / 'backbone.pth'))
    cfg = load_config(str(tmp_path / 'b.py'))
    assert f'loaded all {len(backbone)} tensors' in logged.getvalue()
    assert cfg.model.backbone.init_cfg.checkpoint == str(tmp_path / 'backbone.pth')
    assert cfg.model.neck.norm_cfg.type == 'BN' and not cfg.get('load_from')
    torch.save({'state_dict': {'fc.weight': torch.zeros(1)}}, tmp_path / 'other.pth')
    with pytest.raises(InvalidInput, match=r"holds no backbone of a model; the first name in it is 'fc.weight'"):
        make_config(data, 'det', out=str(tmp_path / 'c.py'), pretrained=str(tmp_path / 'other.pth'))


def test_an_own_model_of_other_classes(weights, tmp_path, capfd, logged):
    """What `init_config` itself trained on other classes: neck, proposals and shared layers are taken over."""
    from mmengine.registry import MODELS

    data, _ = weights
    make_config(data, 'det', out=str(tmp_path / 'a.py'))
    cfg = load_config(str(tmp_path / 'a.py'), {'classes': ['a', 'b', 'c', 'd', 'e']})
    with MODELS.switch_scope_and_registry('mmdet') as registry:
        torch.save({'state_dict': registry.build(cfg.model).state_dict()}, tmp_path / 'own.pth')
    capfd.readouterr()
    make_config(data, 'det', out=str(tmp_path / 'b.py'), pretrained=str(tmp_path / 'own.pth'))
    told = ''.join(capfd.readouterr()) + logged.getvalue()
    assert '2 of another shape in it (roi_head.bbox_head.fc_cls' in told
    cfg = load_config(str(tmp_path / 'b.py'))
    assert cfg.load_from == str(tmp_path / 'own.pth') and cfg.model.neck.norm_cfg.type == 'BN'


def test_unknown_models_and_places(tmp_path):
    with pytest.raises(InvalidInput, match='--model x: valid for seg are sdt_conv, '):
        make_config(str(tmp_path), 'seg', model='x', out=str(tmp_path / 'a.py'))
    with pytest.raises(InvalidInput, match='is not there'):
        make_config(str(tmp_path / 'no'), 'seg', out=str(tmp_path / 'a.py'))
    with pytest.raises(InvalidInput, match='has no files'):
        make_config(str(tmp_path), 'det', out=str(tmp_path / 'a.py'))
