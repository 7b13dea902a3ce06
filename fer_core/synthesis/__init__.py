"""Faces that a small class-conditional GAN makes of the rare classes: networks, training, sampling, judging them."""
