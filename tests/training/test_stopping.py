"""Ctrl-C, SIGTERM and SIGHUP. What a run makes of them is tested with the commands."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from ddpg.training.stopping import Stopped, stop_requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request(number):
    """Whether or not a shell has told the program to ignore it, as it does in the background of a script."""
    inherited = signal.signal(number, signal.SIG_IGN)
    with stop_requests() as request:
        os.kill(os.getpid(), number)
        assert request.number == number
    signal.signal(number, inherited)
    before = signal.getsignal(number)
    with stop_requests() as request:
        assert request.number is None
        os.kill(os.getpid(), number)
        assert request.number == number
    assert signal.getsignal(number) is before
    assert Stopped(number).status == 128 + number


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is none")
@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_is_closed_is_a_request_too_unless_that_is_ignored(ignored):
    program = (
        "import os, signal, sys\nfrom ddpg.training.stopping import stop_requests\n"
        f"signal.signal(signal.SIGHUP, signal.{'SIG_IGN' if ignored else 'SIG_DFL'})  # as with nohup, or without\n"
        "with stop_requests() as request:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n    print('nobody reads this any more')\n"
        "    sys.exit(7 if request.number == signal.SIGHUP else 8)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == (8 if ignored else 7)
    assert (done.stdout == "") == (not ignored)


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
def test_the_second_ends_the_program_at_once(second):
    program = (
        "import os, signal\nfrom ddpg.training.stopping import stop_requests\nwith stop_requests():\n"
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
