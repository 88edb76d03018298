"""Alidade: compressed simulation output with guaranteed error bounds. Tutorial: docs/insitu.md."""
from ._library import AlidadeError, version
from .reader import Reader, open
from .writer import Writer, absolute, lossless, pointwise, psnr, rate, relative

__all__ = ["AlidadeError", "Reader", "Writer", "absolute", "lossless", "open", "pointwise", "psnr", "rate", "relative", "version"]
