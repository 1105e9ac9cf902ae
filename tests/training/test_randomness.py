"""Streams of random numbers, and what checkpoints have of them."""

import pytest
import torch

from convergan.errors import UserError
from convergan.training.randomness import RandomStream


def test_a_stream_goes_on_where_its_state_was_taken() -> None:
    stream = RandomStream(torch.device("cpu"), 3)
    outside_state = torch.get_rng_state()
    with stream():
        torch.rand(5)
    state = stream.state_dict()
    with stream():
        expected = torch.rand(5)
    resumed_stream = RandomStream(torch.device("cpu"), 4)
    resumed_stream.load_state_dict(state)
    with resumed_stream():
        assert torch.equal(torch.rand(5), expected)
    assert torch.equal(torch.get_rng_state(), outside_state)


def test_streams_of_ranks_that_drew_on_their_own_are_refused() -> None:
    stream = RandomStream(torch.device("cpu"), 3)
    former = {"ranks": [[states[0], states[0]] for states in stream.state_dict()["ranks"]]}
    with pytest.raises(UserError, match="older version, in which each process had its own"):
        stream.load_state_dict(former)
