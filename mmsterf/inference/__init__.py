"""Predictions for pictures and videos, drawn and written: what tools/predict.py and tools/browse.py do."""
