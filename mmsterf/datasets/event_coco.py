"""Annotations in COCO's format whose "images" are windows of recordings. Imported on its own: it needs mmdet."""

from mmdet.datasets import CocoDataset

from mmsterf.registry import DATASETS


@DATASETS.register_module()
class EventCocoDataset(CocoDataset):
    """mmdet's CocoDataset; `event_end` of an image, the end of its window in microseconds, goes to the loading step."""

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """As mmdet's, with `event_end`."""
        info = super().parse_data_info(raw_data_info)
        if 'event_end' in raw_data_info['raw_img_info']:
            info['event_end'] = raw_data_info['raw_img_info']['event_end']
        return info
