"""The techniques of Sections 3 and 5 of the paper, a file or a folder each, for any PyTorch training loop.

Each needs only torch and jaxtyping, none of the others, and can be copied as it is.
"""
