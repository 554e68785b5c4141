"""The models that a command line names, and their weights."""

import argparse
from pathlib import Path
from typing import Optional, Union

from . import plain
from .plain import Spec


def load(model: Union[str, Spec], checkpoint: Optional[str], args: argparse.Namespace) -> tuple:
    """Return (model, its config, a function of (num, seed, time_steps, input_time, forward): inputs)."""
    if isinstance(model, Spec):
        built = plain.build(model, checkpoint, args.seed)
        return built, {}, lambda num, seed, **how: plain.source_of(built, args, num, seed, **how)
    from mmsterf.analysis.loading import inputs_of, load_model

    cfg, built = load_model(model, checkpoint, args.seed, args.cfg_options, args.weights == 'config')
    return built, cfg, lambda num, seed, **how: inputs_of(cfg, built, args.input, num, args.size, seed, **how)


def weights_of(model: Union[str, Spec], checkpoint: Optional[str], args: argparse.Namespace, cfg) -> str:
    """Say whose weights a model has."""
    seed = args.seed
    if args.weights == 'config' and not checkpoint:
        from mmsterf.analysis.loading import weights_of

        names = ', '.join(n if '://' in n else Path(n).name for n in weights_of(cfg))
        return f'weights that the config names, {names}' + f'; the rest is random (seed {seed})' * (
            not cfg.get('load_from')
        )
    if checkpoint:
        return f'weights of {checkpoint}'
    if isinstance(model, Spec) and model.brings_weights():
        return f'weights as {model.source}:{model.name} makes them (no checkpoint, seed {seed})'
    return f'RANDOM WEIGHTS (no checkpoint, seed {seed})'
