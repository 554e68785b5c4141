"""The memory that ST-ERF takes for one input, against what is estimated before it runs (`mmsterf.erf.memory`).

    python benchmarks/st_erf_memory.py [--size 512 512]

The estimate is what one forward pass saves, and `TEMPORARY` times the largest saved tensor for what both passes hold
beside it. Each model runs in a process of its own; measured is how far its resident memory rises above what it was
before. The last column is the factor that would have been right.
"""

import argparse
import ctypes
import multiprocessing
from pathlib import Path

import torch

from mmsterf.analysis.features import default_layers, run_features
from mmsterf.analysis.loading import load_model
from mmsterf.erf import Noise, st_erf, untouched
from mmsterf.erf.inputs import pack
from mmsterf.erf.memory import TEMPORARY, Meter

ROOT = Path(__file__).resolve().parents[1]
MODELS = {
    'ResNet-50': 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    'Swin-T': 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
    'PVTv2-b0': 'mmdet::pvt/retinanet_pvtv2-b0_fpn_1x_coco.py',
    'ConvNeXt-T': 'mmdet::convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py',
    'ViT-S/16': 'mmseg::vit/vit_deit-s16_upernet_8xb2-160k_ade20k-512x512.py',
    'U-Net': 'mmseg::unet/unet-s5-d16_fcn_4xb4-40k_chase-db1-128x128.py',
    'CSPDarknet': 'mmdet::yolox/yolox_s_8xb8-300e_coco.py',
    'MetaSDT, MLPixer': str(ROOT / 'configs' / 'mask_rcnn_sdt_mlpixer.py'),
    'MetaSDT, SRB': str(ROOT / 'configs' / 'semantic_fpn_sdt_srb.py'),
    'MetaSDT v2, T = 4': str(ROOT / 'configs' / 'semantic_fpn_sdtv2_digits.py'),
}


def status(key: str) -> int:
    """Bytes of a line of /proc/self/status."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024


def measure(config: str, size: list, pipe) -> None:
    """Send (saved, largest saved tensor, measured) bytes of one model."""
    torch.set_num_threads(1)
    _, model = load_model(config, None)
    steps = getattr(model.backbone, 'time_steps', 1)
    shape = (3, *size) if steps == 1 else (steps, 3, *size)
    inputs, kind = Noise(1, shape), 'image' if steps == 1 else 'sequence'
    with untouched(model) as bare, torch.enable_grad():
        like = next(bare.parameters())
        with Meter(bare, None) as meter:
            run_features(bare, pack([inputs[0]], kind, like))
    ctypes.CDLL(None).malloc_trim(0)  # what the forward pass left
    Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew
    before = status('VmRSS')
    how = {'time_steps': steps, 'input_time': kind, 'forward': run_features, 'memory': 1000}
    st_erf(model, inputs, default_layers(model, steps), in_front_of_norms=True, **how)
    pipe.send((meter.held, meter.largest, status('VmHWM') - before))


def main() -> None:
    """Measure all models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--size', type=int, nargs=2, default=[512, 512], help='height and width (default 512 512)')
    args = parser.parse_args()
    print('| model | saved, MB | largest, MB | estimate, MB | measured, MB | factor |\n|---|---|---|---|---|---|')
    for name, config in MODELS.items():
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context('fork').Process(target=measure, args=(config, args.size, theirs))
        child.start()
        theirs.close()
        try:
            held, largest, peak = ours.recv()
        except EOFError:
            print(f'| {name} | failed |')
            continue
        finally:
            child.join()
        estimate = held + TEMPORARY * largest
        numbers = ' | '.join(f'{n / 1e6:.0f}' for n in (held, largest, estimate, peak))
        print(f'| {name} | {numbers} | {(peak - held) / largest:.1f} |', flush=True)


if __name__ == '__main__':
    main()
