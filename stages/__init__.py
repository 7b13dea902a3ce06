"""Thin DVC stages: read params and files, call fer_core, write files."""
