"""What a spiking network does when it runs: firing rates, operations, energy. Needs torch; plots need matplotlib."""

from .energy import Cost, LayerCost, OperationCounter, totals
from .firing import DEAD, SATURATED, FiringRates, state_of

__all__ = ['DEAD', 'SATURATED', 'Cost', 'FiringRates', 'LayerCost', 'OperationCounter', 'state_of', 'totals']
