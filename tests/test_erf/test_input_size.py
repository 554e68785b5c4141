"""What a model takes is read from the model: channels from its first layer, sizes by trying them."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmsterf.erf import Noise, st_erf
from mmsterf.erf.shapes import fitting_size, input_channels


class Focus(nn.Module):
    """Pixels to channels in front of the first convolution, as in YOLOX."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(4 * channels, 2, 3)

    def forward(self, x):
        return self.conv(nn.functional.pixel_unshuffle(x, 2))


class Folding(nn.Module):
    """Takes (T, N, C, H, W)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1)

    def forward(self, x):
        return self.conv(x.flatten(0, 1))


class Tokens(nn.Module):
    """A patch embedding by a linear layer, for one size alone, and something that runs first but sees no image."""

    def __init__(self):
        super().__init__()
        self.place = nn.Linear(2, 8)
        self.embed = nn.Linear(5 * 16, 8)

    def forward(self, x):
        assert x.shape[-2:] == (256, 256), 'only 256'
        place = self.place(torch.ones(4096, 2))
        patches = nn.functional.unfold(x, 4, stride=4).transpose(1, 2)
        return self.embed(patches) + place


def test_channels_come_from_the_first_layer():
    assert input_channels(nn.Conv2d(1, 2, 3)) == 1
    assert input_channels(nn.Sequential(nn.BatchNorm2d(7), nn.Conv2d(7, 2, 3))) == 7
    assert input_channels(nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(4, 2, 3, groups=2))) == 4
    assert input_channels(Focus(1)) == 1
    assert input_channels(Focus(6), guess=3) == 6
    assert input_channels(Folding(), time_steps=3, input_time='sequence') == 2
    assert input_channels(Tokens(), size=(256, 256)) == 5
    assert input_channels(nn.ReLU(), guess=3) == 3
    wrapped = nn.ModuleDict({'net': nn.Conv2d(9, 2, 3)})
    assert input_channels(wrapped, forward=lambda m, x: m['net'](x)) == 9


def test_sizes_are_tried():
    assert fitting_size(nn.Conv2d(3, 2, 3)) == (224, 224)
    assert fitting_size(nn.Conv2d(3, 2, 3), size=(5, 7)) == (5, 7)
    assert fitting_size(Tokens(), 5) == (256, 256)
    sized = nn.Sequential(nn.Flatten(), nn.Linear(3 * 20 * 30, 2))
    assert fitting_size(sized, sizes=[(10, 10), (20, 30)]) == (20, 30)
    with pytest.raises(ValueError, match=r'Conv2d cannot take inputs of 4 x 9 \(.*\); a size that works is 16 x 16$'):
        fitting_size(nn.Conv2d(3, 2, 7), size=(4, 9))
    with pytest.raises(RuntimeError, match='to have 2 channels'):  # no size is at fault
        fitting_size(nn.Conv2d(2, 2, 3), channels=3)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()).train()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(0)
    random = torch.get_rng_state()
    assert input_channels(model) == 1 and fitting_size(model, 1) == (224, 224)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert model.training and model[0].weight.requires_grad and model[0].weight.grad is None
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert torch.equal(torch.get_rng_state(), random)


class Checkpointed(nn.Module):
    """Recomputes its activations, as backbones with ``with_cp=True`` do."""

    def __init__(self):
        super().__init__()
        self.conv, self.with_cp = nn.Conv2d(3, 2, 3, padding=1), True

    def forward(self, x):
        return checkpoint(self.conv, x, use_reentrant=True) if self.with_cp and x.requires_grad else self.conv(x)


def test_models_with_activation_checkpointing():
    model = Checkpointed()
    found = st_erf(model, Noise(1, (3, 8, 8)), ['conv'])['conv'].mean
    assert (found[0] > 0).sum() == 9 and model.with_cp
