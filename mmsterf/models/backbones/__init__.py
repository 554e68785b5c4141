from .meta_sdt import MetaSDT

__all__ = ['MetaSDT']
