"""The real road runs once for all tests that look at it: minutes on two cores."""

import pytest
from real_road import Road, clone


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    return Road(clone(tmp_path_factory.mktemp("road")))
