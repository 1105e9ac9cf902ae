"""The techniques of Sections 3 and 5 of the paper, one file each, for any PyTorch training loop.

Each file needs only torch and jaxtyping, and none of the others.
"""
