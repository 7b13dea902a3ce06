"""The report as one page: pure functions from what the other stages found to HTML that needs nothing else."""
