"""Ctrl-C and SIGTERM. What a run makes of them is tested with the commands."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from ddpg.stopping import Stopped, stop_requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request(number):
    before = signal.getsignal(number)
    with stop_requests() as request:
        assert request.number is None
        os.kill(os.getpid(), number)
        assert request.number == number
    assert signal.getsignal(number) is before
    assert Stopped(number).status == 128 + number


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
def test_the_second_ends_the_program_at_once(second):
    program = (
        "import os, signal\nfrom ddpg.stopping import stop_requests\nwith stop_requests():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n    print('on', flush=True)\n"
        f"    os.kill(os.getpid(), signal.{second})\n"
        "    print('never')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -getattr(signal, second)
    assert done.stdout == "on\n"
    assert "Stops after this step; once more stops at once." in done.stderr


def test_outside_the_main_thread_there_is_never_a_request():
    seen = []

    def work():
        with stop_requests() as request:
            seen.append(request.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]
