"""Action Units: their names, where each data set's AU labels come from (`sources`), and their join (`join`)."""
