"""What order in time is worth to a detector of events: docs/events.md.

tools/study/run.py configs/study/events.py
"""


def _read(time_steps, shuffled=False):
    clip = 20 // time_steps  # all the same events
    steps = [dict(type='mmsterf.LoadEvents', time_steps=time_steps, duration=200_000, clip=clip)]
    resize = dict(type='Resize', scale_factor=0.5, keep_ratio=True)
    pack = dict(
        type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'event_end')
    )
    found = {}
    for split in ('train', 'val'):
        shuffle = [dict(type='mmsterf.ShuffleSteps', time_steps=time_steps, fixed=split == 'val')] if shuffled else []
        annotations = dict(type='LoadAnnotations', with_bbox=True)
        # Boxes of the truth stay as they are in evaluation.
        rest = [annotations, resize] if split == 'train' else [resize, annotations]
        found[f'{split}_dataloader.dataset.pipeline'] = [*steps, *shuffle, *rest, pack]
    return found


def _steps(count):
    read = _read(count)
    return {
        'model.data_preprocessor.time_steps': count,
        'model.backbone.time_steps': count,
        **read,
        # Not used, but looked at beside the model.
        'test_dataloader.dataset.pipeline': read['val_dataloader.dataset.pipeline'],
    }


maker = 'make_event_scenes.py'
data = dict(scenes='--train 200 --val 40')
# One process each: the runs go side by side. Overlapping boxes are kept up to mmdet's default, as in docs/study.
_alone = {
    f'{split}_dataloader.{key}': value
    for split in ('train', 'val')
    for key, value in (('num_workers', 0), ('persistent_workers', False))
}
_alone['model.test_cfg.rcnn.nms.iou_threshold'] = 0.5
tasks = dict(
    direction=dict(config='../events/faster_rcnn_sdtv2_direction.py', data='scenes', iters=300, options=_alone),
    digits=dict(config='../events/faster_rcnn_sdtv2_digits.py', data='scenes', iters=800, options=_alone),
)
factors = dict(
    time=dict(
        tasks=['direction', 'digits'],
        values=dict(in_order=_read(4), shuffled=_read(4, shuffled=True), one_step=_steps(1)),
    ),
)
seeds = [0, 1, 2]
