"""Action Units: their names, and where each data set's AU labels come from."""

from fer_core.aus import rafce
from fer_core.aus.labels import Source

# What params.yaml's `au_labels` may be: the set's own annotations, or the prototype of each train picture's emotion.
AU_LABELS = ("annotated", "prototypes")

# A data set that is not named here has no AU labels.
SOURCES: dict[str, Source] = {"standin": rafce.read, "rafce": rafce.read}
