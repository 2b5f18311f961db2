"""Captures in scenario files, kept in the run's folder; `symposia lens acts` over it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from symposia.cli.scenario import ScenarioFileError, read_setting
from symposia.core.positions import Positions, Range, Where
from symposia.facade import activations
from symposia.interp.acts.query import ActivationQuery
from symposia.interp.acts.shard import HEADER
from symposia.interp.acts.store import ActivationStore
from symposia.talk.conversation_file import read
from tests.cli.process import ROOT

Here = Callable[..., Result]
SCENARIO = ROOT / "examples" / "captured.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, played once: two turns, then resumed for two more."""
    from typer.testing import CliRunner

    from symposia.cli.main import app

    out = tmp_path_factory.mktemp("runs") / "captured"
    for more in (["--turns", "2"], ["--resume"]):
        done = CliRunner().invoke(
            app, ["run", str(SCENARIO), "--out", str(out), "-q", *more], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
    return out


def test_every_reference_of_the_run_is_on_the_disk(run: Path) -> None:
    """Also those of before the resume; each row has its token, in its speaker's words."""
    stored = read((run / "conversation.json").read_bytes())
    refs = [ref for m in stored.transcript if m.provenance for ref in m.provenance.activations]
    assert len(refs) == 12
    with ActivationStore.open(run / "activations") as store:
        assert [record.ref for record in store.of(refs).records] == refs
        own = store.query(ActivationQuery(layer=2, where=Positions(any=(Where(made="generated"),))))
        said = [m for m in stored.transcript if m.provenance]
        words = ["".join(t.text for t in own.tokens() if t.span.turn == i + 1) for i in range(4)]
        for message, text in zip(said, words, strict=True):
            assert message.text.strip() in text
        profiles = {record.source.about.profile for record in store.query().records}
        assert profiles == set(stored.profiles)
    assert len(activations(run).records) == 12
    assert activations(refs, store=run).tensors().shape == activations(refs[::-1], store=run).tensors().shape


def test_query_tells_records_and_tokens(run: Path, here: Here) -> None:
    """As a table, as JSON lines; narrowed by reader, author, place and selection."""
    lines = here("lens", "acts", run).stdout.splitlines()
    assert len(lines) == 13
    assert lines[0].split()[:3] == ["record", "conversation", "reader"]
    asked = ("--reader", "alice", "--author", "bob", "--layer", 2, "--turn", 3)
    [told] = [
        json.loads(line) for line in here("lens", "acts", run, "query", *asked, "--json").stdout.splitlines()
    ]
    assert (told["reader"], told["layer"], told["turn"], told["shape"][1]) == ("alice", 2, 3, 256)
    tokens = here("lens", "acts", run, *asked, "--tokens", "--json").stdout.splitlines()
    assert len(tokens) == told["rows"] == 40
    assert {json.loads(line)["span"]["author"] for line in tokens} == {"bob"}
    last = here("lens", "acts", run, *asked, "--where", "author=bob,last=1", "--tokens").stdout
    assert len(last.splitlines()) == 1


def test_mistakes_are_said(run: Path, here: Here, tmp_path: Path) -> None:
    """Exit 2: another site, another selection, a folder that is none, a file that is missing."""
    for arguments, said in (
        (("--site", "resid_pots"), "resid_pots"),
        (("--where", "autor=bob"), "did you mean 'author='"),
        (("parquet",), "--out FILE"),
        (("--label", "warm"), "join labels first"),
    ):
        done = here("lens", "acts", run, *arguments)
        assert done.exit_code == 2, arguments
        assert said in done.stderr
    assert "format.json" in here("lens", "acts", tmp_path, "verify").stderr


def test_verify_finds_what_was_changed(run: Path, here: Here, tmp_path: Path) -> None:
    """Exit 0 and 1; JSON for programs."""
    import shutil

    done = here("lens", "acts", run, "verify")
    assert done.exit_code == 0, done.output
    assert re.search(r"12 records of 4 generations, [\d,]+ bytes, in 2 sealed and 0 open shards", done.stdout)
    copy = shutil.copytree(run / "activations", tmp_path / "copy")
    with (copy / "shards" / "00000.safetensors").open("r+b") as file:
        file.seek(HEADER)
        file.write(b"\x00\x01\x02")
    done = here("lens", "acts", copy, "verify", "--json")
    assert done.exit_code == 1
    [fault] = json.loads(done.stdout)["faults"]
    assert fault["where"].endswith(":1")


def test_parquet_has_a_row_a_record(run: Path, here: Here, tmp_path: Path) -> None:
    """Of those the flags ask for."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'symposia[parquet]'")
    done = here("lens", "acts", run, "parquet", "--name", "mean", "--out", tmp_path / "index.parquet")
    assert done.exit_code == 0, done.output
    rows = parquet.read_table(tmp_path / "index.parquet").to_pylist()
    assert {(row["reduce"], row["name"], row["site"]) for row in rows} == {("mean", "mean", "resid_post")}
    assert len(rows) == 4


def test_captures_need_a_folder(here: Here) -> None:
    """Said before a model is loaded; a dry run needs none."""
    done = here("run", SCENARIO)
    assert done.exit_code == 2
    assert "--out DIR" in done.stderr
    assert here("run", SCENARIO, "--dry-run").exit_code == 0


def test_selections_in_words(tmp_path: Path) -> None:
    """In captures and interventions; one that means none is pointed at in the file."""
    captures = read_setting(SCENARIO).captures
    generated = Where(made="generated")
    assert captures[0].where == Positions(any=(generated, Where(authors=("others",), back=(Range(1, 2),))))
    path = tmp_path / "bad.yaml"
    path.write_text(SCENARIO.read_text().replace("where: answer", "where: anwser"))
    with pytest.raises(
        ScenarioFileError, match=r"bad.yaml:\d+:\d+: captures\[1\].where: .*did you mean 'answer'"
    ):
        read_setting(path)
