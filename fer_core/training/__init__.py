"""The loops: supervised training and pretraining, resumable, on whatever device there is."""
