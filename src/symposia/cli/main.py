"""`symposia`: one application, a command a module, each imported when it is called."""

from __future__ import annotations

import warnings
from typing import Annotated

import typer

from . import budget, flags, inside, keys, profile, runs, scoring, traces
from . import debate as debates
from .acts import ActsOptions, acts
from .chat import ChatOptions, chat
from .demo import DemoOptions, demo
from .doctor import DoctorOptions, doctor
from .drift import DriftOptions, drift
from .hosts import EndpointCheckOptions, EndpointListOptions, list_endpoints
from .hosts import check as check_endpoint
from .lens import CheckOptions
from .lens import check as check_lens
from .models import ListOptions, ModelOptions, check, list_models, show
from .run import RunOptions, run
from .schema import SchemaOptions, schema
from .serve.command import serve
from .serve.options import ServeOptions
from .vector.calibrate import CalibrateOptions, calibrate
from .vector.convert import ConvertOptions, convert
from .vector.evaluate import EvaluateOptions, evaluate
from .vector.fit import FitOptions, fit
from .vector.inspect import InspectOptions, inspect
from .view import ViewOptions, view

app = typer.Typer(
    name="symposia",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Language models talk to each other, with the inside open.",
)


def _version(asked: bool) -> None:
    if asked:
        from symposia import __version__

        print(f"symposia {__version__}")
        raise typer.Exit


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    del version


models = typer.Typer(no_args_is_help=True, help="Names of models; what one is; whether it works here.")

flags.add(app, "demo", DemoOptions, demo)
flags.add(app, "run", RunOptions, run)
flags.add(app, "chat", ChatOptions, chat)
flags.add(app, "view", ViewOptions, view)
debates.register(app)
runs.register(app)
scoring.register(app)
traces.register(app)
flags.add(models, "list", ListOptions, list_models)
flags.add(models, "show", ModelOptions, show)
flags.add(models, "check", ModelOptions, check)
app.add_typer(models, name="models")
endpoints = typer.Typer(no_args_is_help=True, help="Hosted models: where they are, what they keep.")
flags.add(endpoints, "list", EndpointListOptions, list_endpoints)
flags.add(endpoints, "check", EndpointCheckOptions, check_endpoint)
app.add_typer(endpoints, name="endpoints")
lens = typer.Typer(no_args_is_help=True, help="Looking inside a local model.")
flags.add(lens, "check", CheckOptions, check_lens)
flags.add(lens, "drift", DriftOptions, drift)
inside.register(lens)
flags.add(lens, "acts", ActsOptions, acts)
app.add_typer(lens, name="lens")
vector = typer.Typer(
    no_args_is_help=True, help="Steering vectors: fit, look into, exchange, calibrate, evaluate them."
)
flags.add(vector, "fit", FitOptions, fit)
flags.add(vector, "inspect", InspectOptions, inspect)
flags.add(vector, "convert", ConvertOptions, convert)
flags.add(vector, "calibrate", CalibrateOptions, calibrate)
flags.add(vector, "evaluate", EvaluateOptions, evaluate)
app.add_typer(vector, name="vector")
flags.add(app, "serve", ServeOptions, serve)
profile.register(app)
keys.register(app)
budget.register(app)
flags.add(app, "schema", SchemaOptions, schema)
flags.add(app, "doctor", DoctorOptions, doctor)


def main() -> None:
    """The console entry point."""
    warnings.formatwarning = _told
    app()


def _told(message: Warning | str, *where: object, **more: object) -> str:
    """A warning as a person reads it, without the line of code that gave it."""
    del where, more
    return f"warning: {message}\n"


if __name__ == "__main__":
    main()
