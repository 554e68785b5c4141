import pytest
from mmengine.config import Config

from mmsterf.engine.config import load_config, read_config
from mmsterf.engine.data import check_data, check_labels_when_read
from mmsterf.engine.dataset_parts import replace_data_root

CONFIG = """
default_scope = 'mmdet'
data_root = 'data/coco/'
dataset = dict(
    type='CocoDataset',
    data_root=data_root,
    ann_file='annotations/train.json',
    data_prefix=dict(img='train/'),
    pipeline=[dict(type='Paste', folder='data/cocoon')],
)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[dataset, dataset])),
)
val_dataloader = dict(dataset=dict(type='CocoDataset', data_root=data_root, ann_file='annotations/val.json'))
val_evaluator = [dict(type='CocoMetric', ann_file=data_root + 'annotations/val.json'), dict(type='Other')]
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    return str(path)


def test_data_root_moves_data_sets_and_evaluators_and_nothing_else(config):
    cfg = load_config(config, {'data_root': '/elsewhere', 'val_dataloader.dataset.data_root': '/special'})
    leaf = cfg.train_dataloader.dataset.dataset.datasets[1]
    assert leaf.data_root == '/elsewhere/' and leaf.ann_file == 'annotations/train.json'
    assert leaf.pipeline[0].folder == 'data/cocoon'
    assert cfg.val_evaluator[0].ann_file == '/elsewhere/annotations/val.json'
    assert cfg.val_dataloader.dataset.data_root == '/special'
    assert cfg.data_root == '/elsewhere'


def test_a_config_that_is_written_and_read_again_keeps_its_data(tmp_path, config):
    cfg = load_config(config)
    replace_data_root(cfg, '/elsewhere')  # as the demo does
    cfg.dump(tmp_path / 'written.py')
    again = load_config(str(tmp_path / 'written.py'))
    assert again.val_dataloader.dataset.data_root == cfg.val_dataloader.dataset.data_root == '/elsewhere/'
    assert again.val_evaluator[0].ann_file == '/elsewhere/annotations/val.json'


def test_data_root_of_data_sets_without_a_common_variable(tmp_path, config):
    common = tmp_path / 'common.py'
    common.write_text(CONFIG.replace('data_root = ', 'place = ').replace('=data_root', '=place'))
    assert load_config(str(common), {'data_root': '/new'}).val_evaluator[0].ann_file == '/new/annotations/val.json'
    different = tmp_path / 'different.py'
    different.write_text(common.read_text() + "\nval_dataloader['dataset']['data_root'] = 'data/other'\n")
    with pytest.raises(ValueError, match=r"\['data/coco/', 'data/other'\].*one by one"):
        load_config(str(different), {'data_root': '/new'})


@pytest.mark.parametrize('scope', [None, 'mmpose'])
def test_task_must_be_told(tmp_path, scope):
    path = tmp_path / 'config.py'
    path.write_text(f'default_scope = {scope!r}')
    with pytest.raises(ValueError, match=f"default_scope is {scope!r}.*'mmdet'.*'mmseg'"):
        load_config(str(path))


def test_missing_data_is_named_with_where_it_was_looked_for(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        check_data(load_config(config), ('train', 'val'))
    text = str(error.value)
    root = tmp_path / 'data/coco'
    for line in (
        f'\n  {root}/annotations/train.json (ann_file of train_dataloader)\n',
        f'\n  {root}/train (data_prefix.img of train_dataloader)\n',
        f'\n  {root}/annotations/val.json (ann_file of val_dataloader)\n',
    ):
        assert text.count(line) == 1
    assert 'link it: ln -s /path/to/coco data/coco;' in text
    assert '--cfg-options data_root=PATH, or the environment variable MMSTERF_COCO_ROOT=PATH, tells' in text


def test_present_data_and_other_splits_pass(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data/coco/annotations').mkdir(parents=True)
    (tmp_path / 'data/coco/annotations/val.json').touch()
    cfg = load_config(config)
    check_data(cfg, ('val', 'test'))
    cfg.val_dataloader.dataset.update(data_root='s3://bucket', data_prefix={'img': 'val'})
    check_data(cfg, ('val',))


@pytest.mark.parametrize(
    ('kind', 'root', 'classes', 'advice'),
    [
        ('ADE20KDataset', 'data/ade/ADEChallengeData2016', None, 'MMSTERF_ADE_ROOT'),
        ('ADE20KDataset', '/data/digits/coco', None, 'MMSTERF_ADE_ROOT'),
        ('CocoDataset', 'data/scenes/coco', '0123456789', 'make_digit_scenes.py --out data/scenes makes'),
        ('BaseSegDataset', '/ade', ('background', *'0123456789'), 'make_digit_scenes.py --out / makes'),
        ('CustomDataset', 'data/one/cls', '0123456789', 'make_digit_scenes.py --task cls --out data/one makes'),
        ('mmsterf.EventCocoDataset', 'data/e/direction', ('left', 'right'), 'make_event_scenes.py --out data/e makes'),
        ('VOCDataset', 'data/voc', ('cat', 'dog'), 'Put or link the data at data/voc'),
    ],
)
def test_advice_fits_the_data(kind, root, classes, advice):
    dataset = {'type': kind, 'data_root': root, 'data_prefix': {'img_path': 'nothing'}}
    if classes:
        dataset['metainfo'] = {'classes': tuple(classes)}
    with pytest.raises(FileNotFoundError, match=advice):
        check_data(Config({'test_dataloader': {'dataset': dataset}}), ('test',))


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        (['labels/a.png'], r'no \*\.jpg in .*/images \(data_prefix\.img_path of train_dataloader\)'),
        (['images/a.png', 'labels/a.png'], r'no \*\.jpg in .*/images'),
        (['images/a.jpg', 'images/b.jpg', 'labels/a.png'], r'1 of 2 images of train_dataloader .* b\.png first'),
        (['images/a.jpg', 'labels/a.png', 'labels/b.png'], None),
    ],
    ids=['none', 'suffix', 'label', 'complete'],
)
def test_segmentation_folders_without_files(tmp_path, files, message):
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
    for file in files:
        (tmp_path / file).touch()
    dataset = dict(
        type='ADE20KDataset', data_root=str(tmp_path), data_prefix=dict(img_path='images', seg_map_path='labels')
    )
    cfg = Config({'train_dataloader': {'dataset': dataset}})
    if message is None:
        check_data(cfg, ('train',))
        return
    with pytest.raises(FileNotFoundError, match=message):
        check_data(cfg, ('train',))


def test_label_maps_of_stock_configs_are_checked():
    load, check = dict(type='LoadAnnotations'), dict(type='mmsterf.CheckLabelMap', num_classes=7, ignore_index=9)
    first, last = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')

    def dataset(*steps) -> dict:
        return dict(dataset=dict(type='RepeatDataset', dataset=dict(type='Any', pipeline=list(steps))))

    cfg = Config(
        dict(
            default_scope='mmseg',
            model=dict(decode_head=[dict(num_classes=7), dict(num_classes=7, ignore_index=9)]),
            train_dataloader=dataset(first, load, last),
            val_dataloader=dataset(first, load, check, last),
            test_dataloader=None,
            tta_pipeline=[first, dict(type='TestTimeAug', transforms=[[first, first], [load], [last]])],
        )
    )
    for _ in range(2):  # once is enough
        check_labels_when_read(cfg)
        for split in ('train', 'val'):
            assert cfg[f'{split}_dataloader'].dataset.dataset.pipeline == [first, load, check, last]
        assert cfg.tta_pipeline[1].transforms == [[first, first], [load], [check], [last]]


@pytest.mark.parametrize(
    'name', ['gn+ws/mask-rcnn_r50_fpn_gn-ws-all_2x_coco', 'legacy_1.x/mask-rcnn_r50_fpn_1x_coco_v1']
)
def test_installed_configs_in_folders_of_any_name(name):
    assert read_config(f'mmdet::{name}.py').model.type == 'MaskRCNN'
