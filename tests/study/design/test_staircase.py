"""The staircase: where it goes."""

from convergan.study.design.staircase import SHORTEST_MS, TARGET, next_exposure


def test_steps_and_limits():
    assert next_exposure(500, True) == 490
    assert next_exposure(500, False) == 530
    assert next_exposure(105, True) == SHORTEST_MS == 100
    assert next_exposure(990, False) == 1000 == 1000
    assert TARGET == 0.75
