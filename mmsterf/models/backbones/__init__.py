from .meta_sdt import MetaSDT
from .meta_sdt_v2 import MetaSDTv2
from .qkformer import QKFormer
from .spike_driven_transformer import SpikeDrivenTransformer
from .spikformer import Spikformer

__all__ = ['MetaSDT', 'MetaSDTv2', 'QKFormer', 'SpikeDrivenTransformer', 'Spikformer']
