"""Data sets: files as published in, rows and encoded pictures out; `registry.DATASETS` names the adapters."""
