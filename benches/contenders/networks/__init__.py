"""The networks that are trained, in each library: a function each, named after what they learn.

- `images`: twice a convolution of 3 x 3, batch normalization, ReLU, pooling, and dropout of whole
  maps at a fifth of the rate; then a Dense layer with ReLU and dropout, and one over the digits.
- `characters`: an embedding of 64, an LSTM with dropout before and behind it, and a Dense layer
  over the vocabulary at every step.
- `sentences`: embeddings of characters and positions with dropout, and causal blocks of a
  transformer with four heads, normalized first, with dropout of the weights of attention, of the
  hidden layer, and of both branches; then normalization and the Dense layer.

`case.hidden` has the units: of both convolutions and the Dense layer, of the LSTM, of each block.
"""

HEADS = 4
SPATIAL = 0.2  # of the rate
