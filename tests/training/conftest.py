"""Reports of the runs that tests of training make."""

import pytest


@pytest.fixture(autouse=True)
def _reports_without_curves(empty_charts: None) -> None:
    """Leaves curves out of reports; shared fixtures draw theirs, and tests of reports draw them all."""
