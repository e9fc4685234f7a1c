"""A file of JSON lines: whole, locked, and readable after whatever has happened to it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from pavics_affinity.errors import JournalError, JournalLocked
from pavics_affinity.journal import Lines, read_lines


def write(path, *entries):
    with closing(Lines(path)) as lines:
        for entry in entries:
            lines.append(entry)


def python(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_what_was_written_is_read(path):
    write(path, {"event": "begin", "n": 1}, {"event": "x", "text": "é\udc80\n"})
    first, second = read_lines(path)
    assert (first["event"], first["n"]) == ("begin", 1)
    assert second["event"] == "x"
    assert path.read_bytes().count(b"\n") == 2


def test_it_is_readable_by_its_owner_alone(path):
    write(path, {"event": "begin"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_threads_do_not_tear_each_others_lines(path):
    with closing(Lines(path)) as lines:

        def work(number):
            for turn in range(20):
                lines.append({"event": "x", "number": number, "turn": turn, "fill": "é" * 5000})

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({(e["number"], e["turn"]) for e in read_lines(path)}) == 160


@pytest.mark.parametrize("kept", [1, 5, 12])
def test_a_torn_last_line_is_skipped_even_after_another_process_continued(path, kept):
    write(path, {"event": "begin"}, {"event": "sending", "step": 1})
    whole = path.read_bytes()
    begin = whole.index(b"\n") + 1
    path.write_bytes(whole[: begin + kept])
    assert [entry["event"] for entry in read_lines(path)] == ["begin"]
    write(path, {"event": "resume"}, {"event": "sending", "step": 1})
    assert [entry["event"] for entry in read_lines(path)] == ["begin", "resume", "sending"]


@pytest.mark.parametrize("damage", [b"\x00" * 9, b"{}", b"[1]", b'{"event": 1}', b'{"event": "x"'])
def test_damage_in_the_middle_is_never_passed_over(path, damage):
    write(path, {"event": "begin"}, {"event": "sending"}, {"event": "accepted"})
    lines = path.read_bytes().split(b"\n")
    lines[1] = damage
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(JournalError, match=r"line 2 of the journal .* is damaged"):
        read_lines(path)


def test_a_second_writer_learns_which_process_is_the_first(path):
    with closing(Lines(path)) as lines:
        lines.append({"event": "begin", "pid": 4711})
        with pytest.raises(JournalLocked, match=r"process 4711, it seems"):
            Lines(path)
        other = python(
            "import sys; from pavics_affinity.journal import Lines; Lines(sys.argv[1])", path
        )
        assert "JournalLocked" in other.stderr
        assert isinstance(JournalLocked("x"), BlockingIOError)
    write(path, {"event": "resume"})


def test_the_lock_ends_with_a_process_that_is_killed(path):
    code = (
        "import os, signal, sys; from pavics_affinity.journal import Lines\n"
        "lines = Lines(sys.argv[1]); lines.append({'event': 'begin'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert python(code, path).returncode == -9
    write(path, {"event": "resume"})
    assert [entry["event"] for entry in read_lines(path)] == ["begin", "resume"]


def test_a_forked_child_neither_writes_nor_holds_the_lock(path):
    code = (
        "import os, sys, time; from pavics_affinity.journal import Lines\n"
        "lines = Lines(sys.argv[1]); lines.append({'event': 'begin'})\n"
        "told, tell = os.pipe()\n"
        "child = os.fork()\n"
        "if child:\n"
        "    os.read(told, 1); print(child, flush=True); os._exit(0)\n"
        "try:\n"
        "    lines.append({'event': 'child'})\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, flush=True)\n"
        "os.write(tell, b'.'); os.close(1); os.close(2)\n"
        "time.sleep(60)"
    )
    ran = python(code, path)
    child, error = sorted(ran.stdout.split(), key=str.isdigit, reverse=True)
    try:
        assert error == "JournalError"
        write(path, {"event": "resume"})  # although the child lives
    finally:
        os.kill(int(child), 9)
    assert [entry["event"] for entry in read_lines(path)] == ["begin", "resume"]


def test_a_disk_that_is_full_is_an_error_and_costs_no_line_before_or_after(path):
    code = (
        "import contextlib, resource, signal, sys; from pavics_affinity.journal import Lines\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with contextlib.closing(Lines(sys.argv[1])) as lines:\n"
        "    lines.append({'event': 'begin'})\n"
        "    limit = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))\n"
        "    try:\n"
        "        lines.append({'event': 'sending', 'fill': 'x' * 200})\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, error)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, limit)\n"
        "    lines.append({'event': 'sending'})\n"
    )
    ran = python(code, path)
    assert ran.stdout.startswith("JournalError"), ran.stderr
    assert "cannot be written" in ran.stdout
    assert [entry["event"] for entry in read_lines(path)] == ["begin", "resume", "sending"]


def test_a_place_that_cannot_be_written_is_an_error_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be opened"):
        Lines(tmp_path / "file" / "run.jsonl")


def test_a_closed_one_is_not_written(path):
    lines = Lines(path)
    lines.close()
    lines.close()
    with pytest.raises(JournalError, match="closed"):
        lines.append({"event": "x"})


def test_what_json_cannot_store_is_not_written(path):
    with closing(Lines(path)) as lines, pytest.raises(ValueError, match="JSON"):
        lines.append({"event": "x", "value": float("nan")})
    assert path.read_bytes() == b""


def test_each_line_is_on_the_disk_before_the_program_continues(path, monkeypatch):
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor):
        real(descriptor)
        synced.append(len(path.read_bytes().split(b"\n")) - 1)

    monkeypatch.setattr(os, "fsync", fsync)
    write(path, {"event": "begin"}, {"event": "x"})
    assert synced[-2:] == [1, 2]
    assert json.loads(path.read_bytes().split(b"\n")[1]) == {"event": "x"}
