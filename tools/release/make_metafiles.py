"""Write configs/metafiles/*.yml and model-index.yml from the configs: make_metafiles.py [CONFIG ...].

Parameters and multiply-accumulates are counted on models without memory; results are those that the papers publish.
With CONFIGs, prints what it would write about them.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

import yaml

from mmsterf.engine import check_versions, command_line
from mmsterf.erf import replace_file
from mmsterf.zoo import SHIPPED

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'configs' / 'metafiles'
STERF = 'https://arxiv.org/abs/2510.21403'
SDT_V3 = 'Spike-driven Transformer V3, https://arxiv.org/abs/2411.16061'
PAPERS = {
    'sdt': (STERF, 'Unveiling the Spatial-temporal Effective Receptive Fields of Spiking Neural Networks'),
    'sdtv1': ('https://arxiv.org/abs/2307.01694', 'Spike-driven Transformer'),
    'sdtv2': (
        'https://arxiv.org/abs/2404.03663',
        'Spike-driven Transformer V2: Meta Spiking Neural Network Architecture Inspiring the Design of Next-generation '
        'Neuromorphic Chips',
    ),
    'spikformer': ('https://arxiv.org/abs/2209.15425', 'Spikformer: When Spiking Neural Network Meets Transformer'),
    'qkformer': ('https://arxiv.org/abs/2403.16552', 'QKFormer: Hierarchical Spiking Transformer using Q-K Attention'),
}
PAGES = {
    STERF: 'https://huggingface.co/ericzhang0328/Spatial-temporal-ERF',
    SDT_V3: 'https://github.com/BICLab/Spike-Driven-Transformer-V3',
}
"""Where authors host, or link, the weights of published results; the names of single files are not known here."""

FAMILIES = {
    'mask_rcnn': 'Mask R-CNN',
    'cascade_mask_rcnn': 'Cascade Mask R-CNN',
    'retinanet': 'RetinaNet',
    'semantic_fpn': 'Semantic FPN',
    'imagenet': 'ImageNet classifiers',
    'events': 'Event cameras',
    'published': 'As published',
}
"""File and collection of models: by the folder of their config, or else by how its name begins."""

TASKS = {
    'mmdet': ('Object Detection', 'COCO'),
    'mmseg': ('Semantic Segmentation', 'ADE20K'),
    'mmpretrain': ('Image Classification', 'ImageNet-1k'),
}
OTHER_DATA = {
    'direction': 'Event scenes',
    'events/faster_rcnn_sdtv2_digits': 'Event scenes',
    'digits': 'Digit scenes',
    'gen1': 'Gen1',
    '1mpx': '1 Megapixel',
    'dsec': 'DSEC-Semantic',
    'nmnist': 'N-MNIST',
    'ncars': 'N-CARS',
}
"""Data sets by a part of a config's path; the first that fits."""
AP = ('box AP', 'box AP50', 'mask AP', 'mask AP50')
PUBLISHED = {
    'published/mask_rcnn_sdt_conv_tiny': dict(zip(AP, (15.2, 35.5, 15.2, 33.0))),
    'published/mask_rcnn_sdt_srb_tiny': dict(zip(AP, (18.2, 39.2, 17.5, 34.8))),
    'published/mask_rcnn_sdt_conv': dict(zip(AP, (21.7, 46.9, 20.1, 41.8))),
    'published/mask_rcnn_sdt_srb': dict(zip(AP, (25.8, 48.9, 22.5, 43.9))),
    'semantic_fpn_sdt_conv_tiny': {'mIoU': 34.9},
    'semantic_fpn_sdt_mlpixer_tiny': {'mIoU': 34.9},
    'semantic_fpn_sdt_mlpixer6_tiny': {'mIoU': 35.9},
    'semantic_fpn_sdt_srb_tiny': {'mIoU': 38.2},
    'semantic_fpn_sdt_conv': {'mIoU': 41.1},
    'semantic_fpn_sdt_srb': {'mIoU': 43.7},
    'imagenet/sdt_conv_small_in1k': {'Top 1 Accuracy': 78.5},
    'imagenet/sdt_conv_base_in1k': {'Top 1 Accuracy': 79.8},
}


def config_files() -> list:
    """All configs of models, but those of the study and the classifiers that the demo begins with."""
    files = [path for path in sorted((ROOT / 'configs').rglob('*.py')) if not {'_base_', 'study'} & set(path.parts)]
    return [path for path in files if not ('imagenet' in path.parts and 'digits' in path.stem)]


def entry(file: Path) -> dict:
    """What a metafile says of a config."""
    from mmsterf.analysis.sizes import counts
    from mmsterf.engine.config import load_config

    inside = file.relative_to(ROOT / 'configs').with_suffix('').as_posix()
    folder, _, stem = inside.rpartition('/')
    cfg = load_config(str(file))
    task, dataset = TASKS[cfg.default_scope]
    dataset = next((name for part, name in OTHER_DATA.items() if part in inside), dataset)
    result = {'Task': task, 'Dataset': dataset}
    hosted = {}
    if inside in PUBLISHED:
        source = SDT_V3 if folder == 'imagenet' else STERF
        hosted = {'Weights page': PAGES[source], 'Weights page is': 'as published; nothing was fetched from it here'}
        result |= {'Metrics': PUBLISHED[inside], 'Source': f'published ({source}), not measured here'}
    parameters, macs, size = counts(cfg)
    shipped = ROOT / 'weights' / f'{stem}.json'
    facts = json.loads(shipped.read_text()) if shipped.is_file() else None
    return {
        'Name': f'{stem}_published' if folder == 'published' else stem,
        'In Collection': FAMILIES[family(file)],
        'Config': f'configs/{inside}.py',
        'Paper': PAPERS[paper(stem)][0],
        'Metadata': {
            'Training Data': dataset,
            'Parameters': parameters,
            'FLOPs': macs,
            'FLOPs are': f'multiply-accumulates of backbone and neck in all time steps, {size[0]} x {size[1]} pixels',
            **hosted,
            **({SHIPPED: f'weights/{facts["file"]}', 'SHA-256': facts['sha256']} if facts else {}),
        },
        'Results': [result],
    }


def family(file: Path) -> str:
    """Key of `FAMILIES`."""
    folder = file.parent.name
    return folder if folder in FAMILIES else next(key for key in FAMILIES if file.stem.startswith(key))


def paper(stem: str) -> str:
    """Key of `PAPERS`."""
    other = next((key for key in ('sdtv2', 'spikformer', 'qkformer') if key in stem), None)
    return other or ('sdtv1' if 'sdt_v1' in stem else 'sdt')


def texts(files: Iterable[Path]) -> dict:
    """Contents of the metafiles and the model index, by their files."""
    models = {key: [] for key in FAMILIES}
    for file in files:
        models[family(file)].append(entry(file))
        print(file.relative_to(ROOT), flush=True)
    found = {}
    for key, entries in models.items():
        collection = {
            'Name': FAMILIES[key],
            'Paper': dict(zip(('URL', 'Title'), PAPERS['sdt'])),
            'README': 'README.md',
        }
        found[FOLDER / f'{key}.yml'] = dumped({'Collections': [collection], 'Models': entries})
    names = [f'configs/metafiles/{key}.yml' for key in FAMILIES]
    found[ROOT / 'model-index.yml'] = dumped({'Import': names})
    return found


def dumped(content: dict) -> str:
    """YAML with the tool's name on top."""
    return f'# Written by tools/release/make_metafiles.py\n{yaml.safe_dump(content, sort_keys=False, width=120)}'


@command_line()
def main() -> None:
    """Write everything, or print what would be written about some configs."""
    check_versions()
    if len(sys.argv) > 1:
        print(yaml.safe_dump([entry(Path(name).resolve()) for name in sys.argv[1:]], sort_keys=False, width=120))
        return
    FOLDER.mkdir(exist_ok=True)
    for file, text in texts(config_files()).items():
        replace_file(file, lambda part, text=text: part.write_text(text))


if __name__ == '__main__':
    main()
