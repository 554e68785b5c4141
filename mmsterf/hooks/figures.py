"""Figures of hooks, for every backend of mmengine's visualizer."""

import numpy as np
from mmengine.dist import master_only
from mmengine.visualization import Visualizer
from mmengine.visualization.vis_backend import DVCLiveVisBackend, MLflowVisBackend


@master_only
def add_figure(visualizer: Visualizer, tag: str, figure: np.ndarray, step: int) -> None:
    """As `Visualizer.add_image`, also where MLflow or DVCLive is a backend.

    Both overwrite images of one name, whatever their step; MLflow takes the format of an image from its name.

    Args:
        visualizer (Visualizer): The runner's.
        tag (str): Name of the figure.
        figure (np.ndarray): RGB, (H, W, 3), uint8.
        step (int): Epoch or iteration.
    """
    for backend in visualizer._vis_backends.values():
        name = f'{tag}_{step}' if isinstance(backend, (MLflowVisBackend, DVCLiveVisBackend)) else tag
        name += '.png' * isinstance(backend, MLflowVisBackend)
        backend.add_image(name, figure, step)
