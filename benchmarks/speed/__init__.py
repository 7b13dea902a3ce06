"""How fast training, pretraining, evaluation, alignment and the AU join are, beside what others use: `make bench`."""
