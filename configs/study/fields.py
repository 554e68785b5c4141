"""The study of docs/study.md: what wide receptive fields early on, strides and the scale of attention do.

tools/study/run.py configs/study/fields.py
"""

data = dict(
    digits='--size 96 96 --scale 24 90 --digits 1 3 --train 2000 --val 200',
    near='--size 96 96 --scale 36 60 --digits 1 3 --train 2000 --val 200',
    far='--task far --size 96 96 --scale 24 30 --distance 60 --train 2000 --val 200',
)
tasks = dict(
    seg=dict(config='seg.py', data='near', iters=1000),
    far=dict(config='far.py', data='far', iters=800),
    far_attention=dict(config='far_attention.py', data='far', iters=800),
    det=dict(config='det.py', data='digits', iters=1200),
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
    mixer=dict(tasks=['det', 'seg', 'far', 'far_attention'], values=_mixers),
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
)
