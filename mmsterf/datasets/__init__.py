"""Data the package can make by itself (see :mod:`mmsterf.datasets.digit_scenes`)."""
