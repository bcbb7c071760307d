"""The variants as each library has them, or as its users write them: a function for each.

A function takes the case and returns y as a function of the floating inputs, which the contender
runs forward and backward.
"""
