"""MLflow, written from the files that the other stages left: what to log, and where it goes."""
