import threading
import time

import pytest

from ddpg.progress import under_way


def divide_late():
    time.sleep(1.2)
    return 1 / 0


def test_what_is_under_way_is_shown_with_its_time_and_cleared_away_at_the_end(capsys):
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError), under_way("dividing"):
        divide_late()
    shown = capsys.readouterr().err
    assert "dividing 00:00" in shown
    assert "dividing 00:01" in shown
    assert not shown.rpartition("\r")[0].rpartition("\r")[2].strip()
    assert threading.active_count() <= threads + 1  # tqdm's own
