"""Load weights that must be all there."""

from collections.abc import Mapping

from torch import nn

from mmsterf.errors import InvalidInput


def load_fitting(module: nn.Module, state: Mapping, path: str, what: str = '') -> None:
    """Load a state dict that has every weight of a module in its shape; what it has beside them is listed.

    Args:
        module: The module.
        state: The state dict.
        path: Its file, for messages.
        what: Behind the class of the module in messages (' of the config').

    Raises:
        InvalidInput: Lists what is missing, of another shape, and unknown.
    """
    own = module.state_dict()
    wrong = [k for k, v in own.items() if k in state and state[k].shape != v.shape]
    missing = [k for k in own if k not in state and not k.endswith('num_batches_tracked')]
    unknown = [k for k in state if k not in own]
    if wrong or missing:
        lists = {'missing': missing, 'of another shape': wrong, 'unknown': unknown}
        text = '; '.join(f'{len(v)} {k} ({", ".join(v[:4])}{", ..." * (len(v) > 4)})' for k, v in lists.items() if v)
        raise InvalidInput(f'checkpoint {path} does not fit the {type(module).__name__}{what}: {text}')
    module.load_state_dict(state, strict=False)
    if unknown:
        print(f'{path}: {len(unknown)} tensors have no place in the model and are left out: {", ".join(unknown[:4])}')
