"""What the stages share: params, the store of finished runs, the import graph, the warm process."""
