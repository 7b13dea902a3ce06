"""The parts of the data card: each a pure function from what earlier stages found to pieces of HTML."""
