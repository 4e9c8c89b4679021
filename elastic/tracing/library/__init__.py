"""The other source of labels: torch-pruning's graph, read from outside."""
