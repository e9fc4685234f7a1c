"""Rendered files are written whole, and never over foreign files."""

import threading

import pytest

from pavics_affinity.errors import AffinityError
from pavics_affinity.proxy.write import NotOurs, compare, is_ours, stamped, write

FILES = {
    "config/proxy/nginx.conf": "events {}\n",
    "config/proxy/conf.d/finch.conf": "upstream finch {}\n",
    "docker-compose.yml": "services: {}\n",
}


def texts(directory):
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_files_are_written_below_a_line_with_their_origin(tmp_path):
    changes = write(FILES, tmp_path / "new")
    assert changes.written == tuple(FILES)
    assert texts(tmp_path / "new") == {name: stamped(text) for name, text in FILES.items()}
    for name, text in FILES.items():
        assert (tmp_path / "new" / name).read_text().endswith("\n" + text)
        assert (tmp_path / "new" / name).stat().st_mode & 0o777 == 0o644


def test_the_same_again_changes_nothing(tmp_path):
    write(FILES, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    changes = write(FILES, tmp_path)
    assert (changes.written, changes.removed, changes.diff) == ((), (), "")
    assert changes.unchanged == tuple(FILES)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_a_new_text_replaces_an_old_one_of_ours(tmp_path):
    write(FILES, tmp_path)
    changed = FILES | {"config/proxy/nginx.conf": "events { }\n"}
    assert write(changed, tmp_path).written == ("config/proxy/nginx.conf",)
    assert texts(tmp_path) == {name: stamped(text) for name, text in changed.items()}


def test_the_difference_is_shown_and_nothing_written(tmp_path):
    write(FILES, tmp_path)
    before = texts(tmp_path)
    changed = FILES | {"config/proxy/nginx.conf": "events { }\n", "new.conf": "x\n"}
    del changed["config/proxy/conf.d/finch.conf"]
    diff = compare(changed, tmp_path).diff
    assert "-events {}\n" in diff
    assert "+events { }\n" in diff
    assert "--- a/config/proxy/conf.d/finch.conf\n+++ /dev/null\n" in diff
    assert "--- /dev/null\n+++ b/new.conf\n" in diff
    assert texts(tmp_path) == before


@pytest.mark.parametrize("content", [b"events {}\n", b"\xff\xfe", b"# by hand\n"])
def test_a_foreign_file_stays_and_nothing_is_written(tmp_path, content):
    path = tmp_path / "config" / "proxy" / "nginx.conf"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(NotOurs, match=r"--diff.*--force") as caught:
        write(FILES, tmp_path)
    assert caught.value.files == ["config/proxy/nginx.conf"]
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]
    assert path.read_bytes() == content
    write(FILES, tmp_path, force=True)
    assert is_ours(path.read_bytes())


def test_an_edited_file_counts_as_foreign(tmp_path):
    write(FILES, tmp_path)
    path = tmp_path / "docker-compose.yml"
    path.write_text(path.read_text() + "# mine\n")
    write(FILES | {"config/proxy/nginx.conf": "events { }\n"} | {"docker-compose.yml": "x: 1\n"},
          tmp_path, force=True)  # fmt: skip
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(NotOurs, match=r"docker-compose\.yml"):
        write(FILES, tmp_path)


def test_the_file_of_a_removed_service_goes_and_a_foreign_one_stays(tmp_path):
    write(FILES, tmp_path)
    strange = tmp_path / "config" / "proxy" / "conf.d" / "site.conf"
    strange.write_text("# the operator's\n")
    fewer = {n: t for n, t in FILES.items() if not n.endswith("finch.conf")}
    assert write(fewer, tmp_path).removed == ("config/proxy/conf.d/finch.conf",)
    assert not (strange.parent / "finch.conf").exists()
    assert strange.exists()


def test_an_empty_file_is_replaced(tmp_path):
    (tmp_path / "docker-compose.yml").touch()
    write(FILES, tmp_path)


def test_a_directory_that_cannot_be_written_is_an_error_and_leaves_no_pieces(tmp_path):
    (tmp_path / "config").write_text("a file, not a directory")
    with pytest.raises(AffinityError, match="config"):
        write(FILES, tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["config"]
    (tmp_path / "config").unlink()
    (tmp_path / "docker-compose.yml").mkdir()
    with pytest.raises(AffinityError):
        write(FILES, tmp_path)
    assert list(tmp_path.rglob(".*")) == []


def test_a_reader_never_sees_half_a_file(tmp_path):
    versions = [{"conf": f"{letter}\n" * 50_000} for letter in "ab"]
    write(versions[0], tmp_path)
    ended = threading.Event()
    seen = set()

    def read():
        while not ended.is_set():
            content = (tmp_path / "conf").read_bytes()
            seen.add(is_ours(content))

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(40):
        write(versions[number % 2], tmp_path)
    ended.set()
    thread.join()
    assert seen == {True}
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]
