"""ST-ERF of models of timm and spikingjelly against gradients that are written down by hand.

    python benchmarks/st_erf_models.py [NAME ...]

For every layer below, the layout of the output is stated here, as the library's code says it. The map is then one
`torch.autograd.grad` of the sum over the channels at the central place, by plain indexing; `st_erf` has to find out the
layout itself. Weights are random (gains of zero at 1), the input is noise. Equal means within 1e-5 of the largest
value; the last line is the total.
"""

import argparse
import importlib

import numpy as np
import torch
from tqdm import tqdm

from mmsterf.erf import Noise, st_erf

TIMM = {
    # tokens: NLC with that many in front of the grid
    'vit_tiny_patch16_224': (64, {'patch_embed': 'NLC:0', 'blocks.0': 'NLC:1', 'blocks.11.attn.proj': 'NLC:1'}),
    'vit_small_patch14_reg4_dinov2': (56, {'blocks.1': 'NLC:5', 'blocks.11.mlp.fc2': 'NLC:5'}),
    'vit_medium_patch16_reg4_gap_256': (64, {'blocks.2': 'NLC:4'}),
    'vit_base_patch16_siglip_224': (64, {'blocks.3': 'NLC:0'}),
    'deit_tiny_distilled_patch16_224': (64, {'blocks.0': 'NLC:2', 'blocks.5': 'NLC:2'}),
    'deit3_small_patch16_224': (64, {'blocks.4': 'NLC:1'}),
    'beit_base_patch16_224': (64, {'blocks.1': 'NLC:1'}),
    'eva02_tiny_patch14_224': (56, {'blocks.2': 'NLC:1'}),
    'cait_xxs24_224': (64, {'blocks.3': 'NLC:0'}),
    'mixer_s16_224': (64, {'blocks.1': 'NLC:0'}),
    'gmlp_s16_224': (64, {'blocks.1': 'NLC:0'}),
    'resmlp_12_224': (64, {'blocks.2': 'NLC:0'}),
    'xcit_nano_12_p16_224': (64, {'blocks.3': 'NLC:0'}),
    'pit_ti_224': (64, {'transformers.0.blocks.0': 'NLC:1'}),
    'levit_128s': (224, {'stages.0': 'NLC:0', 'stages.1.blocks.1': 'NLC:0'}),
    'mvitv2_tiny': (224, {'stages.0': 'NLC:0', 'stages.2': 'NLC:0'}),
    'pvt_v2_b0': (64, {'stages.1.blocks.1': 'NLC:0', 'stages.0.blocks.0': 'NLC:0'}),
    'volo_d1_224': (224, {'network.0.0': 'NHWC', 'network.2.1': 'NHWC'}),
    # channels last
    'swin_tiny_patch4_window7_224': (224, {'layers.0.blocks.0': 'NHWC', 'layers.2': 'NHWC'}),
    'swinv2_cr_tiny_224': (224, {'stages.1': 'NCHW'}),
    'poolformerv2_s12': (64, {'stages.1': 'NCHW'}),
    'mambaout_femto': (64, {'stages.1': 'NHWC'}),
    'sequencer2d_s': (224, {'stages.1': 'NHWC'}),
    'gcvit_xxtiny': (224, {'stages.1': 'NCHW'}),
    # maps
    'resnet18': (64, {'layer1': 'NCHW', 'layer3': 'NCHW', 'layer4': 'NCHW'}),
    'resnext50_32x4d': (64, {'layer2': 'NCHW'}),
    'convnext_atto': (64, {'stages.1': 'NCHW', 'stages.2.blocks.0.conv_dw': 'NCHW'}),
    'convnextv2_atto': (64, {'stages.1': 'NCHW'}),
    'mobilenetv3_small_050': (64, {'blocks.2': 'NCHW', 'blocks.4': 'NCHW'}),
    'efficientnet_b0': (64, {'blocks.3': 'NCHW'}),
    'regnety_002': (64, {'s2': 'NCHW'}),
    'densenet121': (64, {'features.denseblock2': 'NCHW'}),
    'repvgg_a0': (64, {'stages.2': 'NCHW'}),
    'hrnet_w18_small': (64, {'layer1': 'NCHW'}),
    'ghostnet_100': (64, {'blocks.4': 'NCHW'}),
    'convmixer_768_32': (64, {'blocks.3': 'NCHW'}),
    'maxvit_pico_rw_256': (256, {'stages.0': 'NCHW', 'stages.2': 'NCHW'}),
    'coatnet_pico_rw_224': (224, {'stages.1': 'NCHW', 'stages.3': 'NCHW'}),
    'mobilevit_xxs': (64, {'stages.2': 'NCHW', 'stages.3': 'NCHW'}),
    'edgenext_xx_small': (64, {'stages.2': 'NCHW'}),
    'fastvit_t8': (64, {'stages.1': 'NCHW'}),
    'efficientformer_l1': (224, {'stages.1': 'NCHW'}),
    'efficientformerv2_s0': (224, {'stages.2': 'NCHW'}),
    'efficientvit_b0': (64, {'stages.2': 'NCHW'}),
    'efficientvit_m0': (224, {'stages.1': 'NCHW'}),
    'tiny_vit_5m_224': (224, {'stages.1': 'NCHW', 'stages.2': 'NCHW'}),
    'repvit_m0_9': (64, {'stages.2': 'NCHW'}),
    'twins_svt_small': (224, {'blocks.1.0': 'NLC:0'}),
    'visformer_tiny': (224, {'stage2': 'NCHW'}),
    'focalnet_tiny_srf': (64, {'layers.1': 'NCHW'}),
    'davit_tiny': (224, {'stages.1': 'NCHW'}),
    'nest_tiny': (224, {'levels.1': 'NCHW'}),
    'inception_next_atto': (64, {'stages.1': 'NCHW'}),
    'starnet_s1': (64, {'stages.1': 'NCHW'}),
}
"""Model of timm: (side of the input, {layer: layout})."""

SPIKING = {
    'spiking_vgg.spiking_vgg11_bn': {'features.2': 'TNCHW', 'features.10': 'TNCHW'},
    'spiking_resnet.spiking_resnet18': {'sn1': 'TNCHW', 'layer2': 'TNCHW', 'layer3': 'TNCHW'},
    'sew_resnet.sew_resnet18': {'layer1': 'TNCHW', 'layer3': 'TNCHW'},
    'ms_resnet.ms_resnet18': {'layer1': 'TNCHW', 'layer2': 'TNCHW'},
    'spikformer.spikformer_ti': {'patch_embed': 'TNCHW', 'blocks.1': 'TNCHW'},
}
"""Function in `spikingjelly.activation_based.model`: {layer: layout}."""
STEPS, EQUAL = 4, 1e-5


def timms(name: str):
    """Return a model of timm and the shape of its input."""
    import timm

    side, layers = TIMM[name]
    torch.manual_seed(0)
    try:
        model = timm.create_model(name, img_size=side)
    except TypeError:
        model = timm.create_model(name)
    return model.eval(), (3, side, side), layers


def spiking(name: str):
    """Return a model of spikingjelly in multi-step mode whose neurons fire, and the shape of its input."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    module, function = name.split('.')
    module = importlib.import_module(f'spikingjelly.activation_based.model.{module}')
    torch.manual_seed(0)
    options = {'surrogate_function': surrogate.ATan(), 'detach_reset': True}
    if 'sew' in name:
        options['cnf'] = 'ADD'
    if 'spikformer' in name:
        options.update(img_size_h=64, img_size_w=64, T=STEPS)
    model = getattr(module, function)(spiking_neuron=neuron.LIFNode, **options)
    functional.set_step_mode(model, 'm')
    for m in model.modules():
        if isinstance(m, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.constant_(m.bias, 0.5)
    return model.eval(), (STEPS, 3, 64, 64), SPIKING[name]


def reset(model) -> None:
    """Reset spiking neurons, as spikingjelly wants it between sequences."""
    for module in model.modules():
        if hasattr(module, 'v') and hasattr(module, 'reset'):
            module.reset()


def by_hand(model, layer: str, layout: str, x: torch.Tensor) -> np.ndarray:
    """Return the map (D, H, W) of the central place of one layer; the layout is given."""
    kept = []
    handle = model.get_submodule(layer).register_forward_hook(lambda m, i, y: kept.append(y))
    x = x.clone().requires_grad_()
    model(x)
    handle.remove()
    reset(model)
    y = kept[0][0] if isinstance(kept[0], tuple) else kept[0]
    if layout == 'NCHW':
        picked = y[0, :, y.shape[2] // 2, y.shape[3] // 2]
    elif layout == 'NHWC':
        picked = y[0, y.shape[1] // 2, y.shape[2] // 2]
    elif layout == 'TNCHW':
        picked = y[-1, 0, :, y.shape[3] // 2, y.shape[4] // 2]
    else:
        extra = int(layout.partition(':')[2])
        side = int((y.shape[1] - extra) ** 0.5)
        assert side * side + extra == y.shape[1], f'{layer}: {tuple(y.shape)}'
        picked = y[0, extra + side // 2 * side + side // 2]
    (grad,) = torch.autograd.grad(picked.sum(), x)
    grad = grad.abs().double()
    return grad[:, 0].mean(1).flip(0).numpy() if layout == 'TNCHW' else grad[0].mean(0)[None].numpy()


def compare(name: str) -> dict:
    """Return by layer the largest difference of both maps, in parts of the largest value."""
    model, shape, layers = (timms if name in TIMM else spiking)(name)
    (sample,) = Noise(1, shape)
    # the same image twice: torch's batch norm misreads the gradients of a single one (docs/st_erf.md)
    x = torch.stack([sample.float()] * 2, len(shape) - 3)
    steps = shape[0] if len(shape) == 4 else 1
    found = st_erf(model, [sample], list(layers), time_steps=steps, notify=str)
    differences = {}
    for layer, layout in layers.items():
        expected = by_hand(model, layer, layout, x)
        assert expected.any(), f'{name}: no gradient arrives from {layer}'
        differences[layer] = np.abs(found[layer].mean - expected).max() / expected.max()
    return differences


def main() -> None:
    """Compare all layers and print the total."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('names', nargs='*', help='models (default: all)')
    names = parser.parse_args().names or [*TIMM, *SPIKING]
    found = {}
    for name in tqdm(names, unit='model', disable=None):
        found.update({(name, layer): value for layer, value in compare(name).items()})
    for (name, layer), value in found.items():
        if not value < EQUAL:
            print(f'{name}, {layer}: differs by {value:.1e} of the largest value')
    equal = [value for value in found.values() if value < EQUAL]
    print(f'{len(names)} models, {len(found)} layers: {len(equal)} equal; they differ by {max(equal):.0e} at most')


if __name__ == '__main__':
    main()
