"""One adapter per data set: files as published in, rows and encoded pictures out."""

from fer_core.datasets import fer2013, ferplus, rafce
from fer_core.datasets.dataset import Adapter

DATASETS: dict[str, Adapter] = {
    "standin": rafce.read_standin,
    "rafce": rafce.read,
    "fer2013": fer2013.read,
    "ferplus": ferplus.read,
}
