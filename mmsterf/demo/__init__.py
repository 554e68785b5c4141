"""What the demos do once their data are there: train, evaluate, draw."""

from .training import pretrain, report, run

__all__ = ['pretrain', 'report', 'run']
