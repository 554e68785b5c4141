"""What a reader of a map has to know about it."""

from dataclasses import replace

from .layers import Layer


def in_front(layer: Layer, usable: dict[str, Layer]) -> Layer:
    """Return the layer in front of the norm that a layer ends in, or the layer itself."""
    return replace(usable[layer.in_front], stands_for=layer.name) if layer.in_front else layer


def notes_on(layer: Layer, cancels: bool, finite: bool) -> list[str]:
    """Return what a reader has to know about a map, a sentence each."""
    notes = []
    if layer.stands_for:
        notes.append(f'{layer.stands_for} ends in a layer norm: {layer.name}, in front of it, is analysed')
    if layer.window:
        box = ' '.join(f'{edge:.0f}' for edge in layer.window)
        notes.append(f'the grid of {layer.name} covers the region {box} (top left bottom right, pixels) of the image')
    if layer.guess:
        grid = f'{layer.grid[0]} x {layer.grid[1]}' + f', {layer.prefix} tokens in front' * bool(layer.prefix)
        notes.append(
            f'that {layer.name} {layer.shape} is {layer.axes} with a grid of {grid} is a guess from its shape: name '
            "its axes if you know them, as in axes='NHWC' or ('NLC', 1)"
        )
    if cancels:
        instead = f'{layer.in_front} is in front of its norm' if layer.in_front else 'choose one in front of the norms'
        notes.append(
            f'the gradient of {layer.name} cancels over its channels, as it does behind layer norms: its map is '
            f'rounding error and says nothing; {instead}'
        )
    if not finite:
        notes.append(f'the gradient of {layer.name} is not finite')
    return notes
