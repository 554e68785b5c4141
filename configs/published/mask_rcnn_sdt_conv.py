# Published Mask R-CNN, Meta-SDT base with its convolutional mixer, evaluated as published. Evaluation only.
# Every setting below departs from configs/mask_rcnn_sdt_conv.py on purpose, see docs/published_weights.md.
_base_ = '../mask_rcnn_sdt_conv.py'

model = dict(
    # The strides below are not those of the maps: mmsterf.MaskRCNN would refuse them.
    check_strides=False,
    # The published neck counts spikes to 4 in training, but to 1 in evaluation.
    neck=dict(conv_cfg=dict(neuron=dict(type='ILIF', normalize=False, eval_max_count=1))),
    # The fourth map has stride 16 and was taken for 32, its pooled copy has 32 and was taken for 64; anchors have
    # 8 times these strides, which base_sizes would overrule.
    rpn_head=dict(anchor_generator=dict(strides=[4, 8, 16, 32, 64], base_sizes=None)),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[4, 8, 16, 32]),
        mask_roi_extractor=dict(featmap_strides=[4, 8, 16, 32]),
    ),
)
