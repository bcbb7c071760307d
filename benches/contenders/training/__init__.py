"""A training epoch in each library: `epoch(case, threads, x, labels)` returns a run of one.

Dense layers with ReLU and dropout behind each but the last, softmax cross-entropy, Adam with its
default settings, batches in a new order each epoch; a run returns the mean loss of its steps.
"""
