"""The fast version of `scripts/survive.py writes` and `damage`, which raise where a run is not what it was."""

from ddpg.survival.faults import FAULTS, damaged_files, failing_writes


def test_whatever_write_fails_the_run_goes_on_from_a_whole_checkpoint(tmp_path):
    outcomes = failing_writes(tmp_path, stride=7)
    assert {what.split(": ")[0] for what in outcomes} == set(FAULTS)
    assert {what.split(": ")[1] for what in outcomes} == {"that checkpoint is complete", "the one before holds"}


def test_whatever_file_is_damaged_the_run_says_so_or_is_what_it_was(tmp_path):
    outcomes = damaged_files(tmp_path, places=4)
    assert outcomes.total() > 40
    assert {what.split(":")[0] for what in outcomes} == {
        f"{kind}, {damage}" for kind in ("checkpoint", "transitions") for damage in ("cut", "flipped")
    }
