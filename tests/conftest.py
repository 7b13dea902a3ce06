"""Slow files first: two workers that end together are quicker than one that runs a road while the other waits."""

from pathlib import Path

import pytest

# What takes minutes. While the first runs the road, the second has no need of it.
FIRST = ("test_road_ablation.py", "test_road_killed.py", "test_road_queue.py", "test_road.py", "test_track.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = Path(item.path).name
        return FIRST.index(name) if name in FIRST else len(FIRST)

    items.sort(key=place)
