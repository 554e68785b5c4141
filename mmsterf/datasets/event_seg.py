"""Label maps whose "images" are windows of recordings. Imported on its own: it needs mmseg."""

import os

import numpy as np
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset

from mmsterf.errors import InvalidInput
from mmsterf.events import is_recording, open_recording
from mmsterf.registry import DATASETS


@DATASETS.register_module()
class DSECSemanticDataset(BaseSegDataset):
    """DSEC-Semantic and DSEC's events as they are downloaded (Sun et al., ECCV 2022; Gehrig et al., RA-L 2021).

    `data_prefix.seg_map_path` has a folder for each sequence, with `labels`/*.png and a file *timestamps.txt of their
    time stamps (microseconds, a line each); `data_prefix.img_path` the same, with events/left/events.h5 and, where
    events are to be rectified, rectify_map.h5 beside it. Labels before or after the events of their sequence are left
    out, with their number in the log.

    Args:
        labels (str): Folder of label maps in each sequence.
        size (tuple): Height and width of the label maps; events below or beside are outside the sensor.
        **kwargs: As mmseg's BaseSegDataset.

    Raises:
        InvalidInput: If a sequence has no events, or not as many time stamps as label maps.
    """

    def __init__(self, *args, labels: str = '11classes', size: tuple = (440, 640), **kwargs) -> None:
        self.labels, self.size = labels, size
        kwargs = {'img_suffix': '.h5', 'seg_map_suffix': '.png', 'reduce_zero_label': False, **kwargs}
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list:
        """Windows that end with each label."""
        events, labels = (self.data_prefix[key] for key in ('img_path', 'seg_map_path'))
        found = []
        for sequence in sorted(os.listdir(labels)):
            if os.path.isdir(os.path.join(labels, sequence, self.labels)):
                found += self._sequence(os.path.join(events, sequence), os.path.join(labels, sequence))
        if not found:
            raise InvalidInput(f'{labels}: no sequence in it has a folder {self.labels} with label maps')
        return found

    def _sequence(self, events: str, folder: str) -> list:
        folders = [os.path.join(events, 'events', 'left'), events]
        names = [os.path.join(place, name) for place in folders if os.path.isdir(place) for name in os.listdir(place)]
        recordings = [name for name in sorted(names) if is_recording(name) and 'rectify_map' not in name]
        if not recordings:
            raise InvalidInput(f'{folder}: has no events; they are looked for in {folders[0]}')
        stamps = [name for name in sorted(os.listdir(folder)) if name.endswith('timestamps.txt')]
        maps = sorted(n for n in os.listdir(os.path.join(folder, self.labels)) if n.endswith(self.seg_map_suffix))
        if not stamps:
            raise InvalidInput(f'{folder}: has no *timestamps.txt, the time stamps of its {len(maps)} label maps')
        try:
            times = np.loadtxt(os.path.join(folder, stamps[0]), np.int64, ndmin=1)
        except ValueError as error:
            raise InvalidInput(f'{os.path.join(folder, stamps[0])}: no list of microseconds ({error})') from error
        if times.shape != (len(maps),):
            raise InvalidInput(
                f'{os.path.join(folder, stamps[0])}: is of shape {times.shape}, and there are {len(maps)} label maps'
            )
        recording = open_recording(recordings[0])
        kept = [(time, name) for time, name in zip(times.tolist(), maps) if recording.first < time <= recording.last]
        if len(kept) < len(maps):
            outside = len(maps) - len(kept)
            print_log(
                f'{folder}: {outside} of {len(maps)} label maps before or after the events are left out', 'current'
            )
        rectify = os.path.join(os.path.dirname(recordings[0]), 'rectify_map.h5')
        common = {
            'img_path': recordings[0],
            'sequence': os.path.basename(folder),
            'height': self.size[0],
            'width': self.size[1],
            'label_map': self.label_map,
            'reduce_zero_label': self.reduce_zero_label,
        }
        common |= {'rectify_map': rectify} if os.path.isfile(rectify) else {}
        place = os.path.join(folder, self.labels)
        return [
            {**common, 'event_end': time, 'seg_map_path': os.path.join(place, name), 'seg_fields': []}
            for time, name in kept
        ]
