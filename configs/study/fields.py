"""The study of docs/study.md: what wide receptive fields early on, strides and the scale of attention do.

tools/study/run.py configs/study/fields.py
"""


def _at(size, batch_size):
    return {
        'model.data_preprocessor.size': (size, size),
        'train_dataloader.dataset.pipeline.3.scale': (size, size),
        'train_dataloader.batch_size': batch_size,
        'val_dataloader.dataset.pipeline.1.scale': (size, size),
        'val_dataloader.dataset.indices': 100,
    }


_far = '--task far --size 96 96 --scale 20 22 --mark-radius 8 --plain --train 2000 --val 200'
data = dict(
    digits='--size 96 96 --scale 24 90 --digits 1 3 --one-class --train 2000 --val 200',
    far_24=f'{_far} --distance 24',
    far=f'{_far} --distance 60',
    far_rows=f'{_far} --distance 60 --direction rows',
)
tasks = dict(
    seg=dict(config='seg.py', data='digits', iters=300, test_sizes=[48, 96, 128]),
    det=dict(config='det.py', data='digits', iters=300),
    far_rows=dict(config='far.py', data='far_rows', iters=500),
    far=dict(config='far.py', data='far', iters=600),
    far_24=dict(config='far.py', data='far_24', iters=600),
    far_attention=dict(config='far_attention.py', data='far', iters=300),
    # The same scenes enlarged, so that nothing but the number of tokens differs; batches of fewer, larger pictures.
    seg_128=dict(config='seg_sizes.py', data='digits', iters=300, erf_images=4, options=_at(128, batch_size=8)),
    seg_256=dict(config='seg_sizes.py', data='digits', iters=250, erf_images=4, options=_at(256, batch_size=4)),
    seg_512=dict(config='seg_sizes.py', data='digits', iters=200, erf_images=2, options=_at(512, batch_size=2)),
    seg_512_long=dict(config='seg_sizes.py', data='digits', iters=450, erf_images=2, options=_at(512, batch_size=2)),
)
seeds = [0, 1, 2]


def _mixer(type, **kwargs):
    return {'model.backbone.mixer': dict(_delete_=True, type=type, **kwargs)}


_mixers = dict(
    conv=_mixer('ConvMixer'),
    mlpixer_raster=_mixer('MLPixer', layout='raster'),
    mlpixer_pointwise=_mixer('MLPixer', layout='pointwise'),
    srb_raster=_mixer('SRB', layout='raster'),
    srb_pointwise=_mixer('SRB', layout='pointwise'),
)
factors = dict(
    mixer=dict(tasks=['det', 'seg'], values=_mixers),
    # The public configs take the fourth map for one of stride 32, which has 16, and the fifth for 64.
    strides=dict(
        tasks=['det'],
        values=dict(
            true=_mixers['mlpixer_raster'],
            published={
                **_mixers['mlpixer_raster'],
                'model.check_strides': False,
                'model.rpn_head.anchor_generator.strides': [4, 8, 16, 32, 64],
                'model.roi_head.bbox_roi_extractor.featmap_strides': [4, 8, 16, 32],
            },
        ),
    ),
    attention_scale=dict(
        tasks=['seg_128', 'seg_256', 'seg_512', 'seg_512_long'],
        values={name: {'model.backbone.attention_scale': name} for name in ('published', 'tokens')},
    ),
    far=dict(tasks=['far_rows', 'far', 'far_attention', 'far_24'], values=_mixers),
    residual_gain=dict(
        tasks=['seg', 'det'],
        values={f'{gain}': {'model.backbone.residual_gain': gain} for gain in (0.1, 1.0)},
    ),
    dropout=dict(
        tasks=['seg', 'det'],
        values={'0.0': _mixers['mlpixer_raster'], '0.2': _mixer('MLPixer', layout='raster', dropout=0.2)},
    ),
    # T1 counts to 4, the default, and T4 spikes have the same number of slots.
    counts=dict(
        tasks=['seg'],
        values=dict(
            counts_4=_mixers['mlpixer_raster'],
            counts_8={'model.backbone.neuron': dict(type='ILIF', max_count=8)},
            spikes_t4={'model.backbone.neuron': dict(type='ILIF', max_count=1), 'model.backbone.time_steps': 4},
        ),
    ),
)
