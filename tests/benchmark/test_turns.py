from turns import Spread, ratios, take_turns, timed


def test_contestants_take_turns_and_the_first_round_warms_up():
    order = []

    def turn(name):
        return lambda: order.append(name) or float(len(order))

    seconds = take_turns({"a": turn("a"), "b": turn("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert seconds == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
    assert take_turns({"a": lambda: 1.0}, rounds=1, warm_up=False) == {"a": [1.0]}


def test_ratios_are_formed_within_each_round():
    seconds = {"slow": [2.0, 40.0, 9.0], "fast": [1.0, 10.0, 3.0]}
    assert ratios(seconds, "slow", "fast") == Spread(3.0, 2.0, 4.0)
    assert str(ratios(seconds, "slow", "fast")) == "3.00 (2.00 to 4.00)"


def test_a_turn_gives_the_seconds_of_one_call(monkeypatch):
    now = [0.0]

    def work(seconds):
        now[0] += seconds

    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    assert timed(work, 3.0, repetitions=4)() == 3.0
    assert now == [12.0]
