"""From a scenario file to a scenario: names agree, files are there, nothing has been run yet."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from symposia.backends.endpoint import Endpoint, ScriptedEndpoint
from symposia.backends.endpoints import HOSTED
from symposia.backends.hosts import prices_of
from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput
from symposia.core.message import Message, said
from symposia.core.models import resolve
from symposia.core.profile import Participant, Profile, check_name
from symposia.core.usage import Price
from symposia.talk.scenario import Scenario, check_scenario
from symposia.talk.tools import ToolBox

from .agree import check_names
from .convert import convert
from .form import ScenarioForm, Seat, Speech
from .located import Path as Place
from .located import ScenarioFileError
from .overrides import override
from .selections import select_in_words
from .shorthand import spelled_out
from .toolkit import Toolkit, check_tools
from .tree import Tree, read_tree

if TYPE_CHECKING:
    from symposia.interp.vector import SteeringVector

SCRIPTED = "scripted"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Everything a scenario file says. `folder` is where its paths begin; `vectors` are those named by file."""

    scenario: Scenario
    folder: Path
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    vectors: tuple[SteeringVector, ...] = ()
    captures: tuple[Capture, ...] = ()
    rows: Path | None = None
    toolkit: Toolkit | None = None

    def equipped(self, stack: ExitStack, env: Mapping[str, str]) -> tuple[Setting, ToolBox]:
        """With tools in the profiles, and the box that runs them; servers it starts end with `stack`."""
        if self.toolkit is None:
            return self, ToolBox()
        box = self.toolkit.open(stack, env)
        return replace(self, scenario=self.toolkit.seated(self.scenario, box)), box

    def expanded(self, row: int | None) -> Setting:
        """With the slots filled from one row of the data set; unchanged where there is none."""
        if self.rows is None:
            if row is not None:
                raise InvalidInput("--row: this scenario has no dataset; leave it out")
            return self
        rows = list(_rows(self.rows))
        if row is None:
            raise InvalidInput(
                f"{self.rows.name} has {len(rows)} rows; choose one with --row 0..{len(rows) - 1}"
            )
        if row >= len(rows):
            raise InvalidInput(f"--row {row}: expected 0..{len(rows) - 1}, the rows of {self.rows.name}")
        scenario = next(islice(self.scenario.expand(rows), row, None))
        return replace(self, scenario=scenario, rows=None)


def read_setting(
    path: Path, settings: Sequence[str] = (), *, allow_code: bool = False, allow_mcp: bool = False
) -> Setting:
    """Read and check a scenario file. `ScenarioFileError` points at what is wrong; nothing is run or connected."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: expected a scenario file; {error}") from error
    tree = read_tree(text, str(path))
    override(tree, settings)
    tree.data = spelled_out(tree.data)
    select_in_words(tree)
    form = convert(tree, ScenarioForm)
    return _Builder(form, tree, path.parent, allow_code=allow_code, allow_mcp=allow_mcp).setting()


class _Builder:
    def __init__(
        self, form: ScenarioForm, tree: Tree, folder: Path, *, allow_code: bool, allow_mcp: bool
    ) -> None:
        self.form, self.tree, self.folder = form, tree, folder
        self.allow_code, self.allow_mcp = allow_code, allow_mcp
        self.vectors: dict[str, SteeringVector] = {}

    def setting(self) -> Setting:
        form = self.form
        for name in form.participants:
            with self._at("participants", name, at_key=True):
                check_name(name, form.view.moderator)
        check_names(form, self.tree)
        check_tools(form, self.tree, allow_mcp=self.allow_mcp, allow_code=self.allow_code)
        for file in form.code:
            self._file(("code", file), file)
        scenario = Scenario(
            name=form.name,
            participants=tuple(self._participant(name, seat) for name, seat in form.participants.items()),
            protocol=form.protocol,
            until=form.until,
            shared_system=form.shared_system,
            shared_context=form.shared_context,
            prompt=_message(form.prompt) if isinstance(form.prompt, Speech) else form.prompt,
            opening=tuple(_message(m) for m in form.opening),
            view=form.view,
            fit=form.fit,
            hooks=form.hooks,
            seed=form.seed,
            date=form.date,
            fields=form.dataset.fields if form.dataset else (),
        )
        with self._at():
            scenario = check_scenario(scenario)
        return Setting(
            scenario=scenario,
            folder=self.folder,
            endpoints=form.endpoints,
            prices=self._prices(),
            vectors=tuple(self.vectors.values()),
            captures=form.captures,
            rows=self._dataset(),
            toolkit=Toolkit(
                tree=self.tree,
                folder=self.folder,
                wanted={name: seat.tools for name, seat in form.participants.items() if seat.tools},
                mcp=form.mcp,
                code=form.code,
            ),
        )

    def _prices(self) -> dict[str, Price]:
        """By address; what the file says of an address wins over what it says of the endpoint."""
        hosted = {n: e for n, e in self.form.endpoints.items() if not isinstance(e, ScriptedEndpoint)}
        said = {self._model(a, ("prices", a)): price for a, price in self.form.prices.items()}
        return prices_of(hosted) | said

    def _participant(self, name: str, seat: Seat) -> Participant:
        here: Place = ("participants", name)
        if seat.system is not None and seat.system_file is not None:
            raise self.tree.error(
                (*here, "system_file"), "expected system or system_file; got both", at_key=True
            )
        system = seat.system
        if seat.system_file is not None:
            system = (
                self._file((*here, "system_file"), seat.system_file).read_text(encoding="utf-8").rstrip("\n")
            )
        profile = Profile(
            model=self._model(seat.model, (*here, "model")),
            system=system,
            sampling=seat.sampling,
            interventions=self._interventions(here, seat),
            tool_rounds=seat.tool_rounds,
            history=seat.history,
        )
        return Participant(name=name, profile=profile, private=tuple(_message(m) for m in seat.private))

    def _model(self, address: str, where: Place) -> str:
        with self._at(*where):
            found = resolve(address, {SCRIPTED, *HOSTED, *self.form.endpoints})
        code = found.endpoint == SCRIPTED and SCRIPTED not in self.form.endpoints
        if code and not self.allow_code:
            raise self.tree.error(
                where, f"{found.name} is Python code that would run; pass --allow-code to allow it"
            )
        if code:
            file, colon, function = found.name.partition(":")
            if not colon or not function.isidentifier():
                raise self.tree.error(where, f"expected scripted:FILE.py:FUNCTION; got {address!r}")
            self._file(where, file)
        return msgspec.structs.replace(
            found,
            name=self._beside(found.name) if found.source == "path" else found.name,
            adapter=self._beside(found.adapter) if found.adapter else None,
        ).canonical

    def _beside(self, name: str) -> str:
        """A path of weights: relative ones begin at the file; unlike other paths they may lead out of its folder."""
        if not name.startswith(("./", "../")):
            return name
        path = Path(os.path.normpath(self.folder / name))
        return str(path) if path.is_absolute() or path.parts[0] == ".." else f"./{path}"

    def _interventions(self, here: Place, seat: Seat) -> tuple[Any, ...]:
        if not seat.interventions:
            return ()
        from .vectors import named_by_digest

        made = []
        for index, intervention in enumerate(seat.interventions):
            where = (*here, "interventions", index)
            made.append(named_by_digest(intervention, partial(self._vector, where)))
        return tuple(made)

    def _vector(self, at: Place, text: str, key: tuple[str, ...]) -> str:
        where = (*at, *key)
        from .vectors import is_digest, read_vector

        if is_digest(text):
            return text
        if not text.endswith(".safetensors"):
            raise self.tree.error(
                where, f"expected a digest sha256:… or a vector file *.safetensors; got {text!r}"
            )
        path = self._file(where, text)
        with self._at(*where):
            vector = read_vector(path)
        self.vectors[vector.digest] = vector
        return vector.digest

    def _dataset(self) -> Path | None:
        return self._file(("dataset", "path"), self.form.dataset.path) if self.form.dataset else None

    def _file(self, where: Place, name: str) -> Path:
        """A file of this scenario's own folder."""
        folder = self.folder.resolve()
        path = (folder / name).resolve()
        if Path(name).is_absolute() or not path.is_relative_to(folder):
            raise self.tree.error(where, f"expected a path inside {self.folder}; got {name!r}")
        if not path.is_file():
            raise self.tree.error(where, f"there is no file {name!r} in {self.folder}")
        return path

    @contextmanager
    def _at(self, *path: str | int, at_key: bool = False) -> Iterator[None]:
        """Errors of values read at `path` point there."""
        try:
            yield
        except ScenarioFileError:
            raise
        except InvalidInput as error:
            raise self.tree.error(path, str(error), at_key=at_key) from error


def _message(speech: Speech) -> Message:
    audience = None if speech.audience is None else frozenset(speech.audience)
    return said(speech.author, speech.text, audience)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{path}:{number}: expected one JSON object a line; {error}") from error
        if not isinstance(row, dict):
            raise InvalidInput(f"{path}:{number}: expected a JSON object; got {type(row).__name__}")
        yield row
