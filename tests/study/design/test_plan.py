"""The plan: what it refuses, and which arms it makes."""

import pytest

from convergan.errors import UserError
from convergan.study.design.plan import ArmPlan, Plan, arms_of


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"trials": 7}, r"trials: expected an even number, 2 to 10,000, got 7"),
        ({"practice": 3}, r"practice: expected an even number"),
        ({"checks": 2}, r"checks: expected 0, or 3 to the number of trials"),
        ({"checks": 5, "trials": 4}, r"checks: expected 0, or 3"),
        ({"participants": 0}, r"participants: expected 1 to 100,000, got 0"),
        ({"images": 0}, r"images: expected 1 to 1,000,000, got"),
        ({"size_px": 4}, r"size-px: expected 8 to 1024, got 4"),
        ({"hours": 0}, r"hours: expected 1 to 8760, got"),
        ({"title": " "}, r"title: expected some text"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(settings, expected):
    with pytest.raises(UserError, match=expected):
        Plan(**settings)


def test_arms_are_feedback_times_images():
    plan = Plan(feedback="both")
    assert arms_of(plan, ["random", "top-1%"]) == [
        ArmPlan("random, no feedback", "random", False),
        ArmPlan("random, feedback", "random", True),
        ArmPlan("top-1%, no feedback", "top-1%", False),
        ArmPlan("top-1%, feedback", "top-1%", True),
    ]
    assert arms_of(Plan(), ["random"]) == [ArmPlan("random", "random", False)]
    assert arms_of(Plan(feedback="after-each"), ["a"]) == [ArmPlan("a", "a", True)]
