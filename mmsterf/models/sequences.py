"""From batches whose channels hold time, as loading steps give them, to the sequences that backbones take."""

from typing import Optional

import torch
from torch import Tensor, nn

from mmsterf.errors import InvalidInput

LAYOUTS = ('steps', 'channels', 'sum')


class SequenceInputs(nn.Module):
    """Mixin of a data preprocessor of mmdet or mmseg for inputs (T*C, H, W), time before channels.

    Padding, batch augmentation and everything about data samples are the stock class's; norms and the order of
    colours are those of one step.

    Args:
        time_steps (int): T.
        layout (str): 'steps', (T, N, C, H, W), as spiking backbones take it; 'channels', (N, T*C, H, W), or 'sum' over
            steps, (N, C, H, W), as stock backbones do.
        mean (sequence, optional): One value, or one for each channel of a step.
        std (sequence, optional): Likewise.
        bgr_to_rgb (bool): Turn the order of the channels of each step round.
        rgb_to_bgr (bool): The same.
        **kwargs: As the stock class's.

    Raises:
        InvalidInput: For values that are none of these, and inputs whose channels are not those of `time_steps` steps.
    """

    def __init__(
        self,
        *args,
        time_steps: int,
        layout: str = 'steps',
        mean: Optional[tuple] = None,
        std: Optional[tuple] = None,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        if layout not in LAYOUTS:
            raise InvalidInput(f'layout={layout!r}: one of {", ".join(LAYOUTS)}')
        if not isinstance(time_steps, int) or isinstance(time_steps, bool) or time_steps < 1:
            raise InvalidInput(f'time_steps={time_steps!r}: a whole number of at least 1')
        if (mean is None) != (std is None):
            raise InvalidInput(f'mean={mean!r} and std={std!r}: give both or neither')
        self.time_steps, self.layout, self.turn = time_steps, layout, bgr_to_rgb or rgb_to_bgr
        for name, values in (('mean', mean), ('std', std)):
            values = None if values is None else torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(f'step_{name}', values, persistent=False)

    @property
    def steps_in_channels(self) -> int:
        """How many times the channels that the backbone takes an input has."""
        return 1 if self.layout == 'channels' else self.time_steps

    def forward(self, data: dict, training: bool = False) -> dict:
        """As the stock class, with the inputs in the chosen layout."""
        data = self.cast_data(data)
        data = super().forward({**data, 'inputs': [self._of_step(x) for x in data['inputs']]}, training)
        steps = data['inputs'].unflatten(1, (self.time_steps, -1))
        if self.layout == 'sum':
            data['inputs'] = steps.sum(1)
        elif self.layout == 'steps':
            data['inputs'] = steps.transpose(0, 1).contiguous()
        return data

    def _of_step(self, x: Tensor) -> Tensor:
        channels = len(x)
        if channels % self.time_steps:
            raise InvalidInput(
                f'an input has {channels} channels, which are not those of time_steps={self.time_steps} steps; the '
                'loading step and the data preprocessor must have the same time_steps'
            )
        x = x.float().unflatten(0, (self.time_steps, -1))
        x = x.flip(1) if self.turn else x
        if self.step_mean is not None:
            if len(self.step_mean) not in (1, x.shape[1]):
                raise InvalidInput(
                    f'mean has {len(self.step_mean)} values, and a step {x.shape[1]} channels ({channels} of '
                    f'time_steps={self.time_steps}): one value, or one for each channel'
                )
            x = (x - self.step_mean) / self.step_std
        return x.flatten(0, 1)
