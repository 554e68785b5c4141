"""Annotations in COCO's format whose "images" are windows of recordings. Imported on its own: it needs mmdet."""

from bisect import bisect_left
from collections import defaultdict

import numpy as np
from mmdet.datasets import CocoDataset
from mmdet.evaluation import CocoMetric

from mmsterf.errors import InvalidInput
from mmsterf.events.labels import Protocol
from mmsterf.registry import DATASETS, METRICS

KEYS = ('event_end', 'frame')
"""Which part of a recording or video an image of an annotation file is."""


@DATASETS.register_module()
class EventCocoDataset(CocoDataset):
    """mmdet's CocoDataset whose images may be windows of recordings, or frames of videos.

    `event_end` of an image, the end of its window in microseconds, and `frame`, its number in a video, go to the
    loading step.
    """

    READS_AS_COCO = True
    """Its annotation files are checked as COCO's."""

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """As mmdet's, with `event_end` and `frame`."""
        image = raw_data_info['raw_img_info']
        return super().parse_data_info(raw_data_info) | {key: image[key] for key in KEYS if key in image}


@METRICS.register_module()
class EventCocoMetric(CocoMetric):
    """mmdet's CocoMetric as the toolbox of Prophesee's data sets evaluates, by the protocol in the annotation file.

    What `info.protocol` of the file says of detections is done (see `mmsterf.events.labels.Protocol`): small ones are
    left out, and one counts for all labelled time stamps of its recording within the tolerance. Other files are
    evaluated as by mmdet's class.

    Args:
        proposal_nums (tuple): As mmdet's; at most the last number of detections of a class count for a time stamp,
            100 as in the toolbox.
        **kwargs: As mmdet's.
    """

    def __init__(self, *args, proposal_nums: tuple = (1, 10, 100), **kwargs) -> None:
        super().__init__(*args, proposal_nums=proposal_nums, **kwargs)
        rules = (self._coco_api.dataset.get('info') or {}).get('protocol') if self._coco_api else None
        if rules is not None and not (isinstance(rules, dict) and set(rules) == set(Protocol._fields)):
            raise InvalidInput(
                f'{kwargs.get("ann_file", args[:1])}: info.protocol is {rules}; it has {", ".join(Protocol._fields)}'
            )
        self.protocol = Protocol(**rules) if rules is not None else None

    def compute_metrics(self, results: list) -> dict:
        """Metrics of the detections that the protocol leaves."""
        return super().compute_metrics(self._counted(results) if self.protocol else results)

    def _counted(self, results: list) -> list:
        """Results with the detections that count for each time stamp."""
        images, kept, times = self._coco_api.imgs, {}, defaultdict(list)
        for truth, found in results:
            x1, y1, x2, y2 = np.asarray(found['bboxes'], np.float64).reshape(-1, 4).T
            large = self.protocol.large(x2 - x1, y2 - y1)
            number = truth['img_id']
            kept[number] = {key: np.asarray(found[key])[large] for key in ('bboxes', 'scores', 'labels')}
            times[images[number]['file_name']].append((images[number]['event_end'], number))
        for entries in times.values():
            entries.sort()
        counted = []
        for truth, _ in results:
            number, tolerance = truth['img_id'], self.protocol.tolerance
            entries, end = times[images[number]['file_name']], images[number]['event_end']
            low = bisect_left(entries, (end - tolerance,))
            near = [kept[other] for _, other in entries[low : bisect_left(entries, (end + tolerance + 1,))]]
            joined = {key: np.concatenate([found[key] for found in near]) for key in kept[number]}
            counted.append((truth, {'img_id': number, **joined}))
        return counted
