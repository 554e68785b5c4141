# MetaSDT base with MLPixer, which also learns from a teacher's classes (hard distillation, as DeiT's: half of the loss,
# a layer of its own). Fetch the teacher's weights yourself, and name them; any other classifier of mmpretrain will do.
_base_ = './sdt_mlpixer_base_in1k.py'

model = dict(
    type='mmsterf.DistilledClassifier',
    teacher='mmpretrain::regnet/regnetx-12gf_8xb64_in1k.py',
    teacher_checkpoint='{{$MMSTERF_TEACHER:checkpoints/regnetx-12gf.pth}}',
    distillation='hard',
    head=dict(distilled=True),
)
