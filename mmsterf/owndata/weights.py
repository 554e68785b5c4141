"""What a file of weights is of: a whole model, in which form, or a backbone."""

from mmsterf.checkpoint import convert, is_of_mmengine, is_published, local_file
from mmsterf.checkpoint.io import read, state_dict_of
from mmsterf.errors import InvalidInput

WHOLE, OWN, BACKBONE = 'whole', 'own', 'backbone'
_HEADS = {'det': ('rpn_head.', 'roi_head.'), 'seg': ('decode_head.',), 'cls': ('head.',)}


def kind_of(file: str, task: str) -> str:
    """'whole' (a model of the task, as published), 'own' (one with norms in neck and heads) or 'backbone'.

    Raises:
        InvalidInput: If the file has no backbone.
    """
    if is_of_mmengine(file):
        return BACKBONE
    if not local_file(file).is_file():
        raise InvalidInput(f'--pretrained {file} is not a file')
    try:
        state = {key.removeprefix('module.'): value for key, value in state_dict_of(read(file)).items()}
    except ValueError as error:
        if file in str(error):
            raise
        raise InvalidInput(f'--pretrained {file}: {error}') from None
    if is_published(state):
        state = convert(state)[0]
    if any(key.startswith(_HEADS[task]) for key in state) and task != 'cls':
        return OWN if any(key.startswith('neck.') and '.bn.' in key for key in state) else WHOLE
    if not any(key.startswith('backbone.') for key in state):
        first = next(iter(state), 'nothing')
        raise InvalidInput(f'--pretrained {file} holds no backbone of a model; the first name in it is {first!r}')
    return WHOLE if task == 'cls' else BACKBONE
