"""Memory of a host and of the control group a process is in, from files of the kernel's format."""

from types import SimpleNamespace

import pytest

from mindspore_rec.embedding import host_memory

GIB = 1 << 30


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Folders of version 2 and 1, empty; the host has 64 GiB, 32 of them free."""
    monkeypatch.setattr(host_memory, "_GROUP_2", tmp_path / "cgroup")
    monkeypatch.setattr(host_memory, "_GROUP_1", tmp_path / "cgroup" / "memory")
    (tmp_path / "cgroup" / "memory").mkdir(parents=True)
    free = SimpleNamespace(total=64 * GIB, available=32 * GIB)
    monkeypatch.setattr(host_memory.psutil, "virtual_memory", lambda: free)
    return tmp_path / "cgroup"


def write_2(folder, limit, used, statistics="anon 5\ninactive_file 0\n"):
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(statistics)


def write_1(folder, limit, used, statistics="cache 5\ntotal_inactive_file 0\n"):
    (folder / "memory" / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory" / "memory.usage_in_bytes").write_text(f"{used}\n")
    (folder / "memory" / "memory.stat").write_text(statistics)


def both():
    return host_memory.total(), host_memory.available()


def test_a_host_without_control_groups(groups):
    assert both() == (64 * GIB, 32 * GIB)


@pytest.mark.parametrize("write", [write_2, write_1])
def test_the_limit_of_the_group(groups, write):
    write(groups, 8 * GIB, 3 * GIB)
    assert both() == (8 * GIB, 5 * GIB)


@pytest.mark.parametrize(("write", "cache"), [(write_2, "inactive_file"), (write_1, "total_inactive_file")])
def test_files_that_can_be_dropped_are_not_in_use(groups, write, cache):
    write(groups, 8 * GIB, 7 * GIB, f"anon 1\n{cache} {5 * GIB}\nactive_file {GIB}\n")
    assert both() == (8 * GIB, 6 * GIB)


@pytest.mark.parametrize("write", [write_2, write_1])
def test_a_group_may_be_allowed_more_than_there_is(groups, write):
    write(groups, 9223372036854771712, 3 * GIB)
    assert both() == (64 * GIB, 32 * GIB)
    write(groups, 50 * GIB, 3 * GIB)
    assert both() == (50 * GIB, 32 * GIB), "others use the rest"


@pytest.mark.parametrize("write", [write_2, write_1])
def test_a_group_over_its_limit_has_nothing_left(groups, write):
    write(groups, 8 * GIB, 9 * GIB)
    assert both() == (8 * GIB, 0)


def test_no_limit_of_version_2_is_none(groups):
    write_2(groups, "max", 3 * GIB)
    assert both() == (64 * GIB, 32 * GIB)


@pytest.mark.parametrize("broken", ["memory.max", "memory.current", "memory.stat"])
@pytest.mark.parametrize("content", [None, "what is this"])
def test_files_that_cannot_be_read_are_as_none(groups, broken, content):
    write_2(groups, 8 * GIB, 3 * GIB)
    (groups / broken).unlink()
    if content is not None:
        (groups / broken).write_text(content)
    assert both() == (64 * GIB, 32 * GIB)


def test_this_host_has_memory():
    total, available = both()
    assert 0 < available <= total
