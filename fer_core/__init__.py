"""Facial-expression recognition, one technique at a time: tensors, tables and models in and out.

Nothing here knows DVC, MLflow or typer, so the package runs alone on a GPU machine.
"""
