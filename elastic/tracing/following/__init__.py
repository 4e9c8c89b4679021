"""The default source of labels: one run of the network, cells beside its tensors, and trials of what it can't tell."""
