"""Action Units: their names, and where each data set's AU labels come from."""

from fer_core.aus import rafce
from fer_core.aus.labels import Source

# A data set that is not named here has no AU labels.
SOURCES: dict[str, Source] = {"standin": rafce.read, "rafce": rafce.read}
