"""What the published LIF models consist of: as `names`, for Meta-SDT v2, Spikformer, SDT v1 and QKFormer.

Each generator yields ``(published name, name here, published shape)``; the name here is None for tensors that the
published files hold but never use. Classifier heads are in `names`. 1-d convolutions are 1x1 convolutions here.
"""

from collections.abc import Iterable, Iterator

from .names import _layer, _norm


def _conv_norm(published: tuple, ours: str, *shape: int, bias: bool = False) -> Iterator[tuple]:
    """A convolution and its norm; `published` has the names of both."""
    yield from _layer(published[0], f'{ours}.conv', *shape, bias=bias)
    yield from _norm(published[1], f'{ours}.norm', shape[0])


def _rep_conv(published: str, ours: str, channels: int) -> Iterator[tuple]:
    yield from _layer(f'{published}.body.0', f'{ours}.pw1', channels, channels, 1, 1)
    yield from _norm(f'{published}.body.1.bn', f'{ours}.norm1', channels)
    yield from _layer(f'{published}.body.2.0', f'{ours}.dw', channels, 1, 3, 3)
    yield from _layer(f'{published}.body.2.1', f'{ours}.pw2', channels, channels, 1, 1)
    yield from _norm(f'{published}.body.2.2', f'{ours}.norm2', channels)


def _attention(published: str, ours: str, parts: str, *shape: int) -> Iterator[tuple]:
    """1x1 convolutions of `parts` ('qkv' or 'qk') and the projection; `shape` is that of all their weights."""
    for name in parts:
        yield from _layer(f'{published}.{name}_conv', f'{ours}.qkv', *shape)
        yield from _norm(f'{published}.{name}_bn', f'{ours}.norm', shape[0])
    yield from _conv_norm((f'{published}.proj_conv', f'{published}.proj_bn'), f'{ours}.proj', *shape, bias=True)


def _mlp(published: str, ours: str, channels: int, mlp_ratio: float, *kernel: int) -> Iterator[tuple]:
    hidden = int(channels * mlp_ratio)
    for i, *shape in ((1, hidden, channels), (2, channels, hidden)):
        names = f'{published}.fc{i}_conv', f'{published}.fc{i}_bn'
        yield from _conv_norm(names, f'{ours}.fc{i}', *shape, *kernel, bias=True)


def meta_sdt_v2(image: int, dims: tuple, mlp_ratio: float) -> Iterator[tuple]:
    """Meta-SDT v2: image channels, (C0, C1, C2, C3), and e."""
    half, (c0, c1, c2, c3) = dims[0] // 2, dims
    for published, ours, *shape in (
        ('1_1', 'stem', half, image, 7, 7),
        ('1_2', 'down1b', c0, half, 3, 3),
        ('2', 'down2', c1, c0, 3, 3),
        ('3', 'down3', c2, c1, 3, 3),
        ('4', 'down4', c3, c2, 3, 3),
    ):
        names = (f'downsample{published}.encode_conv', f'downsample{published}.encode_bn')
        yield from _conv_norm(names, ours, *shape, bias=True)
    blocks = (('1_1', '1a.0', half), ('1_2', '1b.0', c0), ('2_1', '2.0', c1), ('2_2', '2.1', c1))
    for published, ours, channels in blocks:
        published, ours = f'ConvBlock{published}.0', f'stage{ours}'
        conv, hidden = f'{published}.Conv', int(channels * mlp_ratio)
        yield from _conv_norm((f'{conv}.pwconv1', f'{conv}.bn1'), f'{ours}.sepconv.pw1', 2 * channels, channels, 1, 1)
        yield from _layer(f'{conv}.dwconv', f'{ours}.sepconv.dw.conv', 2 * channels, 1, 7, 7)
        yield from _conv_norm((f'{conv}.pwconv2', f'{conv}.bn2'), f'{ours}.sepconv.pw2', channels, 2 * channels, 1, 1)
        for i, *shape in ((1, hidden, channels), (2, channels, hidden)):
            yield from _conv_norm((f'{published}.conv{i}', f'{published}.bn{i}'), f'{ours}.mixer.conv{i}', *shape, 3, 3)
    for stage, depth, channels in ((3, 6, c2), (4, 2, c3)):
        for i in range(depth):
            published, ours = f'block{stage}.{i}', f'stage{stage}.{i}'
            for name in 'qkv':
                yield from _rep_conv(f'{published}.attn.{name}_conv.0', f'{ours}.attn.qkv', channels)
                yield from _norm(f'{published}.attn.{name}_conv.1', f'{ours}.attn.norm', channels)
            yield from _rep_conv(f'{published}.attn.proj_conv.0', f'{ours}.attn.proj.conv', channels)
            yield from _norm(f'{published}.attn.proj_conv.1', f'{ours}.attn.proj.norm', channels)
            yield from _mlp(f'{published}.mlp', f'{ours}.mlp', channels, mlp_ratio, 1)


def _stem(image: int, channels: int) -> Iterator[tuple]:
    widths = (image, channels // 8, channels // 4, channels // 2, channels)
    for i, suffix in enumerate(('', '1', '2', '3')):
        names = f'patch_embed.proj_conv{suffix}', f'patch_embed.proj_bn{suffix}'
        yield from _conv_norm(names, f'stem.embed{i + 1}', widths[i + 1], widths[i], 3, 3)
    names = 'patch_embed.rpe_conv', 'patch_embed.rpe_bn'
    yield from _conv_norm(names, 'stem.position.conv', channels, channels, 3, 3)


def spikformer(image: int, channels: int, depth: int, mlp_ratio: float) -> Iterator[tuple]:
    """Spikformer: image channels, C, number of blocks, and e."""
    yield from _stem(image, channels)
    for i in range(depth):
        published, ours = f'block.{i}', f'blocks.{i}'
        for name in ('norm1', 'norm2'):
            for leaf in ('weight', 'bias'):
                yield f'{published}.{name}.{leaf}', None, (channels,)
        yield from _attention(f'{published}.attn', f'{ours}.attn', 'qkv', channels, channels, 1)
        yield from _mlp(f'{published}.mlp', f'{ours}.mlp', channels, mlp_ratio, 1, 1)


_STEM_NEURONS = (
    ('proj_lif', 'stem.embed1.neuron'),
    ('proj_lif1', 'stem.embed2.neuron'),
    ('proj_lif2', 'stem.embed3.neuron'),
    ('proj_lif3', 'stem.position.conv.conv.neuron'),
    ('rpe_lif', None),
)
_BLOCK_NEURONS = (
    ('attn.shortcut_lif', 'attn.qkv.neuron'),
    *((f'attn.{part}_lif', f'attn.spike.{part}') for part in 'qkv'),
    ('attn.attn_lif', None),
    ('attn.talking_heads_lif', 'attn.mask'),
    ('mlp.fc1_lif', 'mlp.fc1.conv.neuron'),
    ('mlp.fc2_lif', 'mlp.fc2.conv.neuron'),
)
"""Neurons of Spike-driven Transformer v1, which have a tensor each if they are PLIF; two of them are never called."""


def _time_constants(published: str, ours: str, neurons: tuple) -> Iterator[tuple]:
    for name, our_name in neurons:
        yield f'{published}{name}.w', our_name and f'{ours}{our_name}.node.w', ()


def spike_driven_transformer(
    image: int, channels: int, depth: int, mlp_ratio: float, num_heads: int = 8, plif: bool = False
) -> Iterator[tuple]:
    """Spike-driven Transformer v1: image channels, C, number of blocks, e, attention heads, PLIF neurons."""
    yield from _stem(image, channels)
    if plif:
        yield from _time_constants('patch_embed.', '', _STEM_NEURONS)
    for i in range(depth):
        published, ours = f'block.{i}', f'blocks.{i}'
        yield f'{published}.attn.talking_heads.weight', None, (num_heads, num_heads, 1)
        if plif:
            yield from _time_constants(f'{published}.', f'{ours}.', _BLOCK_NEURONS)
        yield from _attention(f'{published}.attn', f'{ours}.attn', 'qkv', channels, channels, 1, 1)
        yield from _mlp(f'{published}.mlp', f'{ours}.mlp', channels, mlp_ratio, 1, 1)


def qkformer(image: int, channels: int, depths: tuple, mlp_ratio: float) -> Iterator[tuple]:
    """QKFormer: image channels, C, number of blocks per stage, and e."""
    widths = (channels // 8, channels // 4, channels // 2, channels)
    names = 'patch_embed1.proj_conv', 'patch_embed1.proj_bn'
    yield from _conv_norm(names, 'stem', widths[0], image, 3, 3)
    for stage, depth in enumerate(depths, 1):
        published, ours, (inside, out) = f'patch_embed{stage}', f'embed{stage}', widths[stage - 1 : stage + 1]
        for i, (number, *shape) in enumerate(
            ((1 if stage == 1 else 3, out, inside), (2 if stage == 1 else 4, out, out))
        ):
            names = f'{published}.proj{number}_conv', f'{published}.proj{number}_bn'
            yield from _conv_norm(names, f'{ours}.conv{i + 1}', *shape, 3, 3)
        names = f'{published}.proj_res_conv', f'{published}.proj_res_bn'
        yield from _conv_norm(names, f'{ours}.shortcut', out, inside, 1, 1)
        attn, parts = ('attn', 'qkv') if stage == 3 else ('tssa', 'qk')
        for i in range(depth):
            name = f'stage{stage}.{i}'
            yield from _attention(f'{name}.{attn}', f'{name}.attn', parts, out, out, 1)
            yield from _mlp(f'{name}.mlp', f'{name}.mlp', out, mlp_ratio, 1, 1)


def semantic_fpn(dims: tuple, width: int, channels: int, classes: int, state: Iterable, naming: str) -> Iterator[tuple]:
    """`FPN_SNN` and `FPNHead_SNN`: their channels and number of classes. They read maps 1a, 1b, 2 and 4.

    Convolutions of the neck have a norm behind them or a bias, or both, as the first one of the state dict does.
    """
    first = f'neck.lateral_convs.0.{"1.0." if naming == "published" else ""}'
    bias, norm = f'{first}conv.bias' in state, f'{first}bn.weight' in state
    for i, inputs in enumerate((dims[0] // 2, dims[0], dims[1], dims[3])):
        for kind, *shape in (('lateral', inputs, 1, 1), ('fpn', width, 3, 3)):
            name = f'neck.{kind}_convs.{i}'
            yield from _layer(f'{name}.1.0.conv', f'{name}.conv', width, *shape, bias=bias or not norm)
            if norm:
                yield from _norm(f'{name}.1.0.bn', f'{name}.bn', width)
    yield from _layer('decode_head.conv_seg', 'decode_head.conv_seg', classes, channels, 1, 1, bias=True)
    for level in range(4):
        for j in range(max(level, 1)):
            # Upsampling is inside of the published layers, and stands between them here.
            published, ours = f'decode_head.scale_heads.{level}.{j}.1.0', f'decode_head.scale_heads.{level}.{2 * j}'
            yield from _layer(f'{published}.conv', f'{ours}.conv', channels, channels if j else width, 3, 3)
            yield from _norm(f'{published}.bn', f'{ours}.bn', channels)
