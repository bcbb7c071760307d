"""A training epoch in each library: `epoch(case, threads, x, labels)` returns a run of one.

Dense layers with ReLU and dropout behind each but the last, softmax cross-entropy, Adam with its
default settings, batches in a new order each epoch; a run returns the mean loss of its steps.
`characters` is the same with an embedding of 64, an LSTM with dropout before and behind it, and a
Dense layer over the vocabulary at every step.
"""
