"""What published models consist of: every tensor's published name, its name here, and its published shape.

The names are those of the paper's public implementation, which shares them with Spike-driven Transformer v3. One
generator per family; each yields ``(published name, name here, published shape)``. Published tensors that share a name
here are its parts, in order, along the first axis: q, k and v of an attention block are one convolution and one norm.
1-d convolutions of the published MLPs are 1x1 convolutions here, with one more axis.
"""

from collections.abc import Iterable, Iterator

ARCH_DIMS = {
    (24, 48, 96, 128): 'nano',
    (32, 64, 128, 192): 'tiny',
    (48, 96, 192, 240): 'small',
    (64, 128, 256, 360): 'base',
}

SIZES = {
    'backbone': {
        'image': ('downsample1_1.encode_conv.weight', 'stem.conv.weight', 1),
        'c0': ('downsample1_2.encode_conv.weight', 'down1b.conv.weight', 0),
        'c1': ('downsample2.encode_conv.weight', 'down2.conv.weight', 0),
        'c2': ('downsample3.encode_conv.weight', 'down3.conv.weight', 0),
        'c3': ('downsample4.encode_conv.weight', 'down4.conv.weight', 0),
        'hidden': ('block3.0.mlp.fc1_conv.weight', 'stage3.0.mlp.fc1.conv.weight', 0),
    },
    'classifier': {'classes': ('head.weight', 'head.fc.weight', 0)},
    'detector': {
        'width': ('neck.lateral_convs.0.1.0.conv.weight', 'neck.lateral_convs.0.conv.weight', 0),
        'classes': ('roi_head.mask_head.conv_logits.1.0.weight', 'roi_head.mask_head.conv_logits.weight', 0),
    },
    'segmentor': {
        'width': ('neck.lateral_convs.0.0.weight', 'neck.lateral_convs.0.conv.weight', 0),
        'classes': ('decode_head.conv_seg.weight', 'decode_head.conv_seg.weight', 0),
    },
    'LIF segmentor': {
        'width': ('neck.lateral_convs.0.1.0.conv.weight', 'neck.lateral_convs.0.conv.weight', 0),
        'channels': ('decode_head.scale_heads.0.0.1.0.conv.weight', 'decode_head.scale_heads.0.0.conv.weight', 0),
        'classes': ('decode_head.conv_seg.weight', 'decode_head.conv_seg.weight', 0),
    },
}
"""Where the sizes that vary can be read: tensor by its published name, by its name here, and axis."""

MIXER_KEYS = {
    'published': ('ConvBlock1_1.0.fc1.weight', 'ConvBlock1_1.0.fc2.weight'),
    'mmsterf': ('stage1a.0.mixer.fc1.weight', 'stage1a.0.mixer.fc2.weight'),
}
"""Linear layers of the first mixer: two are MLPixer, the first alone is SRB, none is ConvMixer."""


def _layer(published: str, ours: str, *shape: int, bias: bool = False) -> Iterator[tuple]:
    yield f'{published}.weight', f'{ours}.weight', shape
    if bias:
        yield f'{published}.bias', f'{ours}.bias', shape[:1]


def _norm(published: str, ours: str, channels: int) -> Iterator[tuple]:
    for leaf in ('weight', 'bias', 'running_mean', 'running_var'):
        yield f'{published}.{leaf}', f'{ours}.{leaf}', (channels,)
    yield f'{published}.num_batches_tracked', f'{ours}.num_batches_tracked', ()


def _sepconv(published: str, ours: str, channels: int, kernel: int) -> Iterator[tuple]:
    hidden = 2 * channels
    for name, our_name, *shape in (
        ('pwconv1', 'pw1', hidden, channels, 1, 1),
        ('dwconv', 'dw', hidden, 1, kernel, kernel),
        ('pwconv2', 'pw2', channels, hidden, 1, 1),
    ):
        yield from _layer(f'{published}.{name}.0', f'{ours}.{our_name}.conv', *shape)
        yield from _norm(f'{published}.{name}.1', f'{ours}.{our_name}.norm', shape[0])


def _conv_block(published: str, ours: str, channels: int, hidden: int, mixer: str) -> Iterator[tuple]:
    yield from _sepconv(f'{published}.Conv', f'{ours}.sepconv', channels, 7)
    for i, *shape in ((1, hidden, channels), (2, channels, hidden)):
        if mixer == 'MLPixer' or (mixer == 'SRB' and i == 1):
            yield from _layer(f'{published}.fc{i}', f'{ours}.mixer.fc{i}', *shape)
        else:
            yield from _layer(f'{published}.conv{i}', f'{ours}.mixer.conv{i}.conv', *shape, 3, 3)
            yield from _norm(f'{published}.bn{i}', f'{ours}.mixer.conv{i}.norm', shape[0])


def _attention_block(published: str, ours: str, channels: int, hidden: int, layer_scale: bool) -> Iterator[tuple]:
    for i, branch in enumerate(('sepconv', 'attn', 'mlp') if layer_scale else (), 1):
        yield f'{published}.layer_scale{i}', f'{ours}.{branch}.layer_scale', (channels,)
    yield from _sepconv(f'{published}.conv', f'{ours}.sepconv', channels, 3)
    values = 4 * channels
    for name, width in (('q', channels), ('k', channels), ('v', values)):
        yield from _layer(f'{published}.attn.{name}_conv.0', f'{ours}.attn.qkv', width, channels, 1, 1)
        yield from _norm(f'{published}.attn.{name}_conv.1', f'{ours}.attn.norm', width)
    yield from _layer(f'{published}.attn.proj_conv.0', f'{ours}.attn.proj.conv', channels, values, 1, 1)
    yield from _norm(f'{published}.attn.proj_conv.1', f'{ours}.attn.proj.norm', channels)
    for i, *shape in ((1, hidden, channels), (2, channels, hidden)):
        yield from _layer(f'{published}.mlp.fc{i}_conv', f'{ours}.mlp.fc{i}.conv', *shape, 1, bias=True)
        yield from _norm(f'{published}.mlp.fc{i}_bn', f'{ours}.mlp.fc{i}.norm', shape[0])


def meta_sdt_v3(image: int, dims: tuple, mixer: str, mlp_ratio: float, layer_scale: bool = False) -> Iterator[tuple]:
    """Meta-SDT v3: image channels, (C0, C1, C2, C3), 'ConvMixer', 'MLPixer' or 'SRB' (raster rows), and e.

    With `layer_scale`, each attention block has three more vectors, one per branch, as the published segmentor with the
    convolutional mixer has.
    """
    half, (c0, c1, c2, c3) = dims[0] // 2, dims
    for published, ours, *shape in (
        ('1_1', 'stem', half, image, 7, 7),
        ('1_2', 'down1b', c0, half, 3, 3),
        ('2', 'down2', c1, c0, 3, 3),
        ('3', 'down3', c2, c1, 3, 3),
        ('4', 'down4', c3, c2, 3, 3),
    ):
        yield from _layer(f'downsample{published}.encode_conv', f'{ours}.conv', *shape, bias=True)
        yield from _norm(f'downsample{published}.encode_bn', f'{ours}.norm', shape[0])
    for published, ours, channels in (
        ('1_1', '1a.0', half),
        ('1_2', '1b.0', c0),
        ('2_1', '2.0', c1),
        ('2_2', '2.1', c1),
    ):
        hidden = int(channels * mlp_ratio)
        yield from _conv_block(f'ConvBlock{published}.0', f'stage{ours}', channels, hidden, mixer)
    for stage, depth, channels in ((3, 6, c2), (4, 2, c3)):
        for i in range(depth):
            block = f'block{stage}.{i}', f'stage{stage}.{i}'
            yield from _attention_block(*block, channels, int(channels * mlp_ratio), layer_scale)


def classifier_heads(channels: int, classes: int, state: Iterable, naming: str) -> Iterator[tuple]:
    """Classifier; a model trained by distillation has a second one, one with PLIF neurons a neuron in front."""
    for published, ours in (('head', 'head.fc'), ('head_kd', 'head.fc_kd')):
        name = published if naming == 'published' else ours
        if published == 'head' or any(f'{name}.{leaf}' in state for leaf in ('weight', 'bias')):
            yield from _layer(published, ours, classes, channels, bias=True)
    if ('head_lif.w' if naming == 'published' else 'head.neuron.node.w') in state:
        yield 'head_lif.w', 'head.neuron.node.w', ()


def mask_rcnn(dims: tuple, width: int, classes: int) -> Iterator[tuple]:
    """Neck and heads of the detector: neck channels and number of classes; 3 anchors, RoI features of 7x7."""
    neck, box, mask = 'neck', 'roi_head.bbox_head', 'roi_head.mask_head'
    for i, channels in enumerate(dims):
        for kind, *shape in (('lateral', channels, 1, 1), ('fpn', width, 3, 3)):
            name = f'{neck}.{kind}_convs.{i}'
            yield from _layer(f'{name}.1.0.conv', f'{name}.conv', width, *shape, bias=True)
    for name, *shape in (('conv', width, width, 3, 3), ('cls', 3, width, 1, 1), ('reg', 12, width, 1, 1)):
        yield from _layer(f'rpn_head.rpn_{name}.1.0', f'rpn_head.rpn_{name}', *shape, bias=True)
    for i, inputs in enumerate((width * 7 * 7, 1024)):
        yield from _layer(f'{box}.shared_fcs.{i}.1.0', f'{box}.shared_fcs.{i}', 1024, inputs, bias=True)
    for name, outputs in (('fc_cls', classes and classes + 1), ('fc_reg', 4 * classes)):
        yield from _layer(f'{box}.{name}', f'{box}.{name}', outputs, 1024, bias=True)
    for i in range(4):
        yield from _layer(f'{mask}.convs.{i}.1.0.conv', f'{mask}.convs.{i}.conv', width, width, 3, 3, bias=True)
    for name, *shape in (('upsample', width, width, 2, 2), ('conv_logits', classes, width, 1, 1)):
        yield from _layer(f'{mask}.{name}.1.0', f'{mask}.{name}', *shape, bias=True)


def semantic_fpn(dims: tuple, width: int, classes: int) -> Iterator[tuple]:
    """Neck and head of the segmentor: its channels and number of classes. It reads maps 1a, 1b, 2 and 4."""
    for i, channels in enumerate((dims[0] // 2, dims[0], dims[1], dims[3])):
        for kind, *shape in (('lateral', channels, 1, 1), ('fpn', width, 3, 3)):
            name = f'neck.{kind}_convs.{i}'
            yield from _layer(f'{name}.0', f'{name}.conv', width, *shape, bias=True)
            yield from _norm(f'{name}.1', f'{name}.bn', width)
    yield from _layer('decode_head.conv_seg', 'decode_head.conv_seg', classes, width, 1, 1, bias=True)
    for level in range(4):
        for j in range(0, 2 * max(level, 1), 2):  # upsampling layers stand at the odd places
            name = f'decode_head.scale_heads.{level}.{j}'
            yield from _layer(f'{name}.1', f'{name}.conv', width, width, 3, 3)
            yield from _norm(f'{name}.2', f'{name}.bn', width)
