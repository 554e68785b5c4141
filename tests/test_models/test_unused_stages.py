"""Stages behind the last map that is returned are not built; checkpoints of whole backbones still load."""

import pytest
import torch
from mmengine.logging import MMLogger

from mmsterf.models import MetaSDT, MetaSDTv2, QKFormer, SpikeDrivenTransformer, Spikformer

SMALL = {'embed_dims': (16, 16, 32, 32)}
BACKBONES = {
    'MetaSDT': (lambda **kwargs: MetaSDT(SMALL, **kwargs), 5),
    'MetaSDTv2': (lambda **kwargs: MetaSDTv2(SMALL, time_steps=2, **kwargs), 5),
    'Spikformer': (lambda **kwargs: Spikformer(embed_dims=64, depth=2, num_heads=8, time_steps=2, **kwargs), 3),
    'SpikeDrivenTransformer': (
        lambda **kwargs: SpikeDrivenTransformer(embed_dims=64, depth=2, time_steps=2, **kwargs),
        3,
    ),
    'QKFormer': (lambda **kwargs: QKFormer(embed_dims=64, depths=(1, 2, 1), num_heads=8, time_steps=2, **kwargs), 3),
}
CASES = [(name, last) for name, (_, maps) in BACKBONES.items() for last in range(maps)]


@pytest.mark.parametrize(('name', 'last'), CASES)
def test_every_parameter_has_a_gradient_and_maps_are_those_of_the_whole(name, last, tmp_path):
    build, maps = BACKBONES[name]
    whole, x = build(out_indices=tuple(range(maps))), torch.randn(2, 3, 32, 48)
    part = build(out_indices=(last,), drop_path_rate=0.0)
    sum(y.mean() for y in part(x)).backward()
    assert [k for k, p in part.named_parameters() if p.grad is None] == []

    torch.save(whole.state_dict(), tmp_path / 'whole.pth')
    loaded = build(out_indices=(last,), init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'whole.pth')})
    loaded.init_weights()
    part.load_state_dict(whole.state_dict())
    for model in (whole, part, loaded):
        model.eval()
    with torch.no_grad():
        expected = whole(x)[last]
        assert torch.equal(part(x)[0], expected) and torch.equal(loaded(x)[0], expected)


def test_what_is_left_out_is_said_and_what_is_unknown_refused():
    whole, part = MetaSDT(SMALL), MetaSDT(SMALL, out_indices=(1, 2))
    assert part.unbuilt == ('down3', 'stage3', 'down4', 'stage4')
    lines = []
    logger = MMLogger.get_instance('unused_stages')
    logger.handle = lambda record: lines.append(record.getMessage())
    part.load_state_dict(whole.state_dict())
    extra = len(whole.state_dict()) - len(part.state_dict())
    assert [line for line in lines if f'{extra} tensors of a checkpoint are of down3, stage3' in line]
    with pytest.raises(RuntimeError, match='stage5'):
        part.load_state_dict({**whole.state_dict(), 'stage5.weight': torch.zeros(1)})
