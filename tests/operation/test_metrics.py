"""The textfile for Prometheus: valid, written whole, and with no label that says which digest or whom."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from digest.channels import CHANNELS
from digest.errors import Reason
from digest.ledger import RunState, State
from digest.ledger.figures import Figures
from digest.metrics import OTHER, STAGES, exposition, kind_of, write_textfile
from tests.fakes.smtp import Fault
from tests.operation.scene import MONDAY, TEAM, a_stage, at, source_error

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
_HELP = re.compile(r"# HELP ([a-z_]+) ([^\n]+)")
_TYPE = re.compile(r"# TYPE ([a-z_]+) (counter|gauge)")
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^{}]*)\})? (-?\d+(?:\.\d+)?)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\\n]*)"')


def parsed(text: str) -> Series:
    """Read the text format as strictly as its specification is: HELP, TYPE, then all samples of a family."""
    assert text.endswith("\n")
    series: Series = {}
    families: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if helped := _HELP.fullmatch(line):
            typed = _TYPE.fullmatch(next(lines))
            assert typed, line
            assert typed[1] == helped[1]
            assert typed[1] not in families, "a family stands together"
            assert typed[1].endswith("_total") == (typed[2] == "counter")
            families.append(typed[1])
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, line
        assert sample[1] == families[-1]
        labels = sample[2].split(",") if sample[2] else []
        pairs = [_LABEL.fullmatch(label) for label in labels]
        assert all(pairs), line
        key = (sample[1], frozenset((pair[1], pair[2]) for pair in pairs if pair))
        assert key not in series, "each series once"
        series[key] = float(sample[3])
    return series


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, frozenset(labels.items())]


def test_the_figures_of_a_day(tmp_path: Path) -> None:
    path = tmp_path / "digest.prom"
    faults = (Fault("RCPT", "550 no", TEAM[0]), Fault("reply", "drop", TEAM[1]))
    with a_stage(tmp_path, relay={"faults": faults}) as stage:
        stage.settings = replace(stage.settings, metrics_file=path)
        stage.call(at(7, 31))
        found = parsed(path.read_text())

    assert value(found, "digest_runs_total", state="done") == 1
    assert value(found, "digest_deliveries_total", channel="smtp", state="sent") == 1
    assert value(found, "digest_deliveries_total", channel="smtp", state="refused") == 1
    assert value(found, "digest_unknown_open") == 1
    assert value(found, "digest_due_lag_seconds") == 0
    assert value(found, "digest_last_success_timestamp") == at(7, 31).timestamp()
    seconds = {one: value(found, "digest_stage_seconds", stage=one) for one in STAGES}
    assert all(0 < spent < 60 for spent in seconds.values())
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_stages_are_those_of_the_last_run_that_was_begun_and_ended_in_one_call(
    tmp_path: Path,
) -> None:
    path = tmp_path / "digest.prom"
    faults = (Fault("RCPT", "450 later", TEAM[0]),)
    with a_stage(tmp_path, relay={"faults": faults}) as stage:
        stage.settings = replace(stage.settings, metrics_file=path)
        stage.source(source_error(Reason.TRANSIENT))
        stage.call(at(7, 31))
        held = parsed(path.read_text())
        stage.source(None)
        stage.call(at(8, 1))
        sent = parsed(path.read_text())
        stage.call(at(8, 31))
        later = parsed(path.read_text())

    assert not any(name == "digest_stage_seconds" for name, _ in held)
    for stage_ in STAGES:
        first = value(sent, "digest_stage_seconds", stage=stage_)
        assert first == value(later, "digest_stage_seconds", stage=stage_)


def test_a_held_edition_ages_until_it_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "digest.prom"
    with a_stage(tmp_path) as stage:
        stage.settings = replace(stage.settings, metrics_file=path)
        stage.source(source_error(Reason.TRANSIENT))
        stage.call(at(7, 31))
        stage.call(at(8, 1))
        held = parsed(path.read_text())
        stage.call(at(11, 1))
        over = parsed(path.read_text())

    assert value(held, "digest_due_lag_seconds") >= 1800
    assert value(held, "digest_held_open") == 1
    assert (value(over, "digest_due_lag_seconds"), value(over, "digest_held_open")) == (0, 0)
    assert not any(name == "digest_last_success_timestamp" for name, _ in over)


def test_labels_are_closed_lists_whatever_a_channel_is_called() -> None:
    figures = Figures({}, {("zug-sales@firm.example", State.SENT): 3}, None, None)
    found = parsed(exposition(figures, {}, at(8)))

    labels = {pair for _, pairs in found for pair in pairs}
    assert {name for name, _ in labels} == {"state", "channel"}
    assert {one for name, one in labels if name == "channel"} == {*CHANNELS, OTHER}
    assert {one for name, one in labels if name == "state"} == {*RunState, *State}
    assert value(found, "digest_deliveries_total", channel=OTHER, state="sent") == 3


def test_a_channel_of_any_name_counts_as_its_kind(tmp_path: Path) -> None:
    with a_stage(tmp_path) as stage:
        channels = {"zug": stage.settings.channels["smtp"]}

        assert [kind_of(one, channels) for one in ("zug", "smtp", "gone")] == [
            "smtp",
            "smtp",
            OTHER,
        ]


def test_a_folder_that_cannot_be_written_is_a_warning_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    with a_stage(tmp_path) as stage:
        (tmp_path / "folder").write_text("")
        stage.settings = replace(stage.settings, metrics_file=tmp_path / "folder" / "digest.prom")
        assert stage.call(at(7, 31)) == 0
        assert any("digest.prom was not written" in line for line in stage.said)

    place = tmp_path / "there"
    place.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_textfile(place, "text")
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".there")] == []


def test_the_alarms_that_are_shipped_name_figures_that_exist(tmp_path: Path) -> None:
    rules = (Path(__file__).parents[2] / "config/deploy/prometheus-rules.yml").read_text()
    with a_stage(tmp_path) as stage:
        stage.settings = replace(stage.settings, metrics_file=tmp_path / "digest.prom")
        stage.call(at(7, 31, day=MONDAY + timedelta(days=1)))
        known = {name for name, _ in parsed((tmp_path / "digest.prom").read_text())}

    used = set(re.findall(r"\bdigest_[a-z_]+", rules))
    assert used
    assert used <= known
    assert "\t" not in rules
    for line in re.findall(r"expr: (.+)", rules):
        assert re.fullmatch(r"(time\(\) - )?digest_[a-z_]+ > \d+( \* \d+)?", line), line


def test_a_weekend_is_no_silence(tmp_path: Path) -> None:
    path = tmp_path / "digest.prom"
    with a_stage(tmp_path) as stage:
        stage.settings = replace(stage.settings, metrics_file=path)
        stage.call(at(7, 31, day=MONDAY - timedelta(days=3)))
        stage.call(at(9, 0, day=MONDAY - timedelta(days=1)))

    last = value(parsed(path.read_text()), "digest_last_success_timestamp")
    assert last == at(9, 0, day=MONDAY - timedelta(days=1)).timestamp()
