"""The authors' networks, losses and updates, written out once more from what their code computes.

Literal and slow, in plain operations, without a line of `convergan`: what its recipes are held against.
Numbers are float64; random ones come from outside, so that two implementations can be given the same.
"""
