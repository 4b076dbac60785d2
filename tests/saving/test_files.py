import errno
import os
import stat

import pytest

from ddpg.saving import files


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    for content in (b"one", b"other"):
        files.write(tmp_path / "file", content)
        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", content)]


@pytest.mark.skipif(os.name != "posix", reason="Elsewhere a folder cannot be synced.")
def test_content_is_on_the_disk_before_its_name_and_its_name_before_anybody_relies_on_it(tmp_path, monkeypatch):
    fsync, replace, done = os.fsync, os.replace, []

    def synced(descriptor):
        found = os.fstat(descriptor)
        here = os.path.samestat(found, tmp_path.stat())
        done.append("folder" if here else ("file", stat.S_ISREG(found.st_mode) and found.st_size))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("name"), replace(*paths)))
    files.write(tmp_path / "file", b"content")
    assert done == [("file", len(b"content")), "name", "folder"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_disk_that_takes_nothing_leaves_the_former_file(tmp_path, monkeypatch, broken):
    files.write(tmp_path / "file", b"one")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match="No space left"):
        files.write(tmp_path / "file", b"other")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"one")]


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    for name in ("file", "file.unfinished"):
        (tmp_path / name).symlink_to(tmp_path / "mine")
    files.write(tmp_path / "file", b"other")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert (tmp_path / "file").read_bytes() == b"other"
