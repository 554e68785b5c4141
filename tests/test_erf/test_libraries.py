"""Maps of models of timm and spikingjelly against gradients written down by hand, where the layout is stated."""

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location('models', Path(__file__).parents[2] / 'benchmarks' / 'st_erf_models.py')
models = importlib.util.module_from_spec(spec)
spec.loader.exec_module(models)


@pytest.mark.parametrize(
    'name',
    [
        'vit_small_patch14_reg4_dinov2',  # a class token and four registers
        'deit_tiny_distilled_patch16_224',  # a class and a distillation token
        'swin_tiny_patch4_window7_224',  # channels last, windows
        'levit_128s',  # no token in front; batch norms over tokens
        'mobilenetv3_small_050',
    ],
)
def test_maps_of_timm(name):
    pytest.importorskip('timm')
    assert max(models.compare(name).values()) < models.EQUAL


@pytest.mark.parametrize('name', ['spiking_vgg.spiking_vgg11_bn', 'sew_resnet.sew_resnet18'])
def test_maps_of_spikingjelly(name):
    pytest.importorskip('torchvision', reason="spikingjelly's models import it")
    assert max(models.compare(name).values()) < models.EQUAL
