"""Item 4 and the kills of issue 19, a few of each: `make test-interrupts` and `make test-kills` make many."""

from pathlib import Path

import pytest

from tests.broken_off import tries


@pytest.mark.slow
@pytest.mark.parametrize(("way", "number"), [("interrupt", 12), ("kill", 50)])
def test_item_4_jobs_that_are_broken_off_end_right(way: str, number: int, tmp_path: Path) -> None:
    wrong = [result for result in tries(way, number, 0, tmp_path) if not result["right"]]
    assert wrong == []
