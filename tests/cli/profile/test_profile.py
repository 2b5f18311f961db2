"""`symposia profile`: profiles from files, names moved by compare-and-swap, an audit that can be held to its word."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from symposia.core.profile import Profile, Sampling

Here = Callable[..., Result]
CALM = 'model = "tiny"\nsystem = "Be calm."\n[sampling]\ntemperature = 1\nmax_tokens = 64\n'
CALM_PROFILE = Profile(
    model="symposia:tiny", system="Be calm.", sampling=Sampling(temperature=1.0, max_tokens=64)
)


class Shell:
    """The commands on one store, in one folder."""

    def __init__(self, here: Here, folder: Path) -> None:
        self._here, self.folder, self.store = here, folder, folder / "s.db"

    def __call__(self, *arguments: object, code: int = 0) -> Result:
        done = self._here("profile", *arguments, "--store", self.store)
        assert done.exit_code == code, done.output
        return done

    def json(self, *arguments: object, code: int = 0) -> object:
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def file(self, text: str, name: str = "calm.toml") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def create(self, text: str = CALM, *more: object) -> str:
        return self("create", self.file(text), *more).stdout.strip()


@pytest.fixture
def shell(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("USER", "ann")
    return Shell(here, tmp_path)


def warm(shell: Shell) -> str:
    return shell.create(CALM.replace("calm", "warm"))


def test_a_file_becomes_a_profile_named_by_its_digest(shell: Shell) -> None:
    """TOML and JSON of the same fields are the same profile, its model's address canonical; again is once."""
    digest = shell.create(CALM, "--note", "first")
    assert digest == CALM_PROFILE.digest
    as_json = shell.file(
        '{"model": "symposia:tiny", "system": "Be calm.", "sampling": {"max_tokens": 64}}', "calm.json"
    )
    assert shell.json("create", as_json) == {"digest": digest, "model": "symposia:tiny", "alias": None}
    (only,) = shell.json("list")
    assert (only["digest"], only["actor"], only["note"], only["aliases"]) == (digest, "ann", "first", [])
    assert only["profile"]["system"] == "Be calm."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model = ", "expected a profile in TOML or JSON"),
        ('system = "x"', "model"),
        ('model = "tiny"\ntemprature = 1', "temprature"),
        ('model = "tiny"\n[sampling]\ntemperature = "hot"', "sampling.temperature"),
        ('model = "tiny"\n[[interventions]]\nop = "add"\nvector = "nowhere"\nlayers = [1]', "nowhere"),
    ],
)
def test_what_is_no_profile_is_refused(shell: Shell, text: str, says: str) -> None:
    """The field is named, and no store is made for it."""
    done = shell("create", shell.file(text), code=2)
    assert says in done.stderr
    assert not shell.store.exists()


def test_an_alias_moves_only_from_where_it_is_believed(shell: Shell) -> None:
    """A wrong belief exits 1 with the current digest, for people and programs, and moves nothing."""
    calm, hot = shell.create(CALM, "--alias", "calm"), warm(shell)
    assert shell("alias", "tiny", "champion", "calm", "--expect", "none", "--reason", "start").stdout == (
        f"symposia:tiny@champion: none -> {calm[7:19]}\n"
    )
    done = shell("alias", "tiny", "champion", hot, "--expect", "sha256:wrong", "--reason", "x", code=1)
    assert "AliasConflict" in done.stderr
    assert calm in done.stderr
    refused = ["alias", "tiny", "champion", hot, "--reason", "x"]
    told = shell.json(*refused, "--expect", hot, code=1)
    assert (told["error"], told["current"], told["expected"]) == ("alias_conflict", calm, hot)
    assert shell.json(*refused, "--expect", "none", code=1)["current"] == calm
    moved = shell.json(*refused, "--expect", calm[:19], "--evidence", "http://e")
    assert (moved["before"], moved["after"]) == (calm, hot)
    shell("alias", "tiny", "champion", "none", "--expect", hot, "--reason", "gone")
    again = shell.json("alias", "tiny", "champion", "tiny@calm", "--expect", "none", "--reason", "back")
    assert again["after"] == calm
    history = shell.json("history", "tiny", "champion")
    assert [(m["before"], m["after"], m["reason"]) for m in history] == [
        (None, calm, "start"),
        (calm, hot, "x"),
        (hot, None, "gone"),
        (None, calm, "back"),
    ]
    assert "http://e" in shell("history", "symposia:tiny", "champion").stdout
    assert "expected one of calm" in shell("history", "tiny", "clam", code=2).stderr


def test_creating_with_an_alias_takes_no_name_away(shell: Shell) -> None:
    """A free name is given, its own name again is fine, another's is a conflict."""
    calm = shell.create(CALM, "--alias", "calm")
    assert shell.create(CALM, "--alias", "calm") == calm
    done = shell("create", shell.file(CALM.replace("calm", "warm")), "--alias", "calm", code=1)
    assert calm in done.stderr
    assert shell.json("show", "tiny@calm")["digest"] == calm
    assert len(shell.json("history", "tiny", "calm")) == 1


def test_profiles_are_shown_and_compared(shell: Shell) -> None:
    """By alias or shortened digest; a diff names the fields that differ and no other."""
    calm, hot = shell.create(CALM, "--alias", "calm"), warm(shell)
    shown = shell("show", "tiny@calm").stdout
    assert shown.startswith(calm)
    assert '"Be calm."' in shown
    assert "by ann" in shown
    assert shell.json("diff", "tiny@calm", hot[:19])["changed"] == [["system", '"Be calm."', '"Be warm."']]
    lines = shell("diff", "tiny@calm", hot).stdout.splitlines()
    assert [line[0] for line in lines] == ["-", "+"]
    assert shell("diff", calm, calm).stdout == ""
    for selector, says in (("calm", "MODEL@ALIAS"), ("tiny@clam", "did you mean"), ("sha256:12", "12 to 64")):
        assert says in shell("show", selector, code=2).stderr


def test_an_archived_profile_is_listed_no_more(shell: Shell) -> None:
    """Not while it has a name; afterwards only `--archived` and its digest show it."""
    calm = shell.create(CALM, "--alias", "calm")
    assert "symposia:tiny@calm" in shell("archive", calm, "--reason", "old", code=2).stderr
    shell("alias", "tiny", "calm", "none", "--expect", calm, "--reason", "old")
    assert shell("archive", calm, "--reason", "old").stdout == f"{calm}\n"
    assert shell.json("list") == []
    assert shell("list").stdout == ""
    assert [one["digest"] for one in shell.json("list", "--archived")] == [calm]
    assert "archived" in shell("show", calm).stdout
    assert (
        "archived" in shell("alias", "tiny", "calm", calm, "--expect", "none", "--reason", "x", code=2).stderr
    )


def test_the_audit_finds_what_was_changed_behind_its_back(shell: Shell) -> None:
    """It lists every act; verifying exits 0, and 1 with the row once a byte of it is another."""
    shell.create(CALM, "--alias", "calm")
    assert [row["action"] for row in shell.json("audit")] == ["profile_created", "alias_moved"]
    assert [row["seq"] for row in shell.json("audit", "--since", "1")] == [2]
    assert "alias_moved" in shell("audit").stdout
    assert shell.json("audit", "--verify")["flaws"] == []
    assert "as they were written" in shell("audit", "--verify").stdout
    connection = sqlite3.connect(shell.store)
    connection.execute("UPDATE audit SET actor = 'bob' WHERE seq = 2")
    connection.commit()
    connection.close()
    (flaw,) = shell.json("audit", "--verify", code=1)["flaws"]
    assert (flaw["table"], flaw["row"]) == ("audit", "2")
    assert "audit 2" in shell("audit", "--verify", code=1).stdout


def test_stores_that_cannot_be_asked(shell: Shell, here: Here, tmp_path: Path) -> None:
    """Reading makes no store; one that does not answer is another exit code than one that is none."""
    assert "there is no store" in shell("list", code=2).stderr
    assert not shell.store.exists()
    (tmp_path / "text.db").write_text("no database, " * 200)
    assert here("profile", "list", "--store", tmp_path / "text.db").exit_code == 2
    pytest.importorskip("psycopg")
    gone = here("profile", "list", "--store", "postgresql://eve:hunter2hunter2@127.0.0.1:1/none")
    assert gone.exit_code == 3
    assert "hunter2" not in gone.output
    assert len(gone.stderr.splitlines()) == 1


def test_a_profile_travels_between_stores(shell: Shell, here: Here, tmp_path: Path) -> None:
    """Exported and taken in elsewhere it has the same digest; a damaged file is refused and nothing kept."""
    calm = shell.create(CALM, "--alias", "calm")
    tar, other = tmp_path / "calm.tar", tmp_path / "other.db"
    assert shell.json("export", "tiny@calm", "-o", tar) == {"digest": calm, "file": str(tar), "vectors": []}
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(tar.read_bytes().replace(b'"system"', b'"sysfem"'))
    done = here("profile", "import", damaged, "--store", other)
    assert done.exit_code == 2
    assert not other.exists()
    done = here("profile", "import", tar, "--store", other, "--note", "came", "--json")
    assert json.loads(done.stdout) == {"digest": calm, "vectors": []}
    listed = json.loads(here("profile", "list", "--store", other, "--json").stdout)
    assert [(one["digest"], one["note"]) for one in listed] == [(calm, "came")]


@pytest.mark.slow
def test_steering_is_tried_before_it_is_kept_and_travels_with_its_vectors(
    shell: Shell, here: Here, tmp_path: Path
) -> None:
    """A vector file beside the profile is named by digest; layers the model lacks are the engine's refusal."""
    import symposia
    from symposia.interp.vector import load_vector
    from tests.cli.process import ROOT

    made = symposia.fit(ROOT / "examples" / "warm.jsonl", "symposia:tiny", name="warm")
    made.save(tmp_path / "warm.safetensors")
    edit = '[[interventions]]\nop = "add"\nvector = "warm.safetensors"\nscale = 0.5\nlayers = [{}]\n'
    steered = 'model = "tiny"\n' + edit
    refused = shell("create", shell.file(steered.format(77)), code=2)
    assert "77" in refused.stderr
    assert not shell.store.exists()
    digest = shell.create(steered.format(3), "--alias", "warm")
    assert shell.json("show", "tiny@warm")["profile"]["interventions"][0]["vector"] == made.digest
    tar = tmp_path / "warm.tar"
    assert "empty" in shell("export", digest, "-o", tar, "--vectors", tmp_path / "empty", code=2).stderr
    shell("export", digest, "-o", tar, "--vectors", tmp_path)
    got, other = tmp_path / "got", tmp_path / "other.db"
    done = here("profile", "import", tar, "--store", other, "--vectors", got)
    assert done.stdout.strip() == digest, done.output
    (file,) = got.iterdir()
    assert file.name == f"{made.digest[7:]}.safetensors"
    assert load_vector(file).digest == made.digest
    raw, vector = bytearray(tar.read_bytes()), file.read_bytes()
    raw[raw.index(vector) + len(vector) - 1] ^= 1
    tar.write_bytes(raw)
    done = here("profile", "import", tar, "--store", tmp_path / "x.db", "--vectors", tmp_path / "no")
    assert done.exit_code == 2, done.output
    assert not (tmp_path / "no").exists()
    assert not (tmp_path / "x.db").exists()
