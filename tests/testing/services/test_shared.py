"""Logs that many processes write at once."""

import threading

from pavics_affinity.testing.services.shared import append_to_log, read_log


def test_lines_written_by_many_do_not_mix(tmp_path):
    log = tmp_path / "log.jsonl"
    assert read_log(log) == []

    def write(number):
        for turn in range(50):
            append_to_log(log, {"number": number, "turn": turn, "text": "é\udc80" * 200})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = read_log(log)
    assert len({(entry["number"], entry["turn"]) for entry in entries}) == 400


def test_a_line_without_an_end_is_not_read(tmp_path):
    log = tmp_path / "log.jsonl"
    append_to_log(log, {"a": 1})
    with log.open("a") as file:
        file.write('{"a": 2')
    assert read_log(log) == [{"a": 1}]
