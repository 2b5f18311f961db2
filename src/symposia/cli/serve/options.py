"""The flags of `symposia serve`: one a setting, and what only a start has. What is not given is not decided here."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from symposia.serve.settings import FIELDS, models_of

_LISTS = {"model": "models", "only": "only", "vectors": "vectors", "cors_origin": "cors_origin"}
Text = Annotated[str | None, typer.Option(show_default=False)]


@dataclass(frozen=True)
class ServeOptions:
    """Flags before environment before `symposia.toml` before defaults."""

    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME=ADDRESS", help="Serve a model under a name; may be repeated."),
    ] = None
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Serve the models of an OpenAI-compatible server [INFERENCE_BASE_URL]."
        ),
    ] = None
    only: Annotated[str | None, typer.Option(metavar="A,B", help="Of the upstream's models, these.")] = None
    upstream_flavour: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Its kind: openai, openrouter, vllm, sglang, ollama or generic [by its address].",
        ),
    ] = None
    host: Annotated[str | None, typer.Option(help="Where to listen [127.0.0.1].")] = None
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="On which port [8080].")] = None
    store: Annotated[
        str | None, typer.Option(metavar="S", help="Events, profiles, keys: a path, memory, postgresql://….")
    ] = None
    ledger: Annotated[
        str | None, typer.Option(metavar="L", help="Budgets: memory, sqlite:PATH, postgresql://…, redis://….")
    ] = None
    budget: Annotated[
        str | None, typer.Option(metavar="FILE", help="The budget policy, in TOML or JSON.")
    ] = None
    traces: Annotated[
        str | None, typer.Option(metavar="DIR", help="Keep what was said, redacted, in a folder [off].")
    ] = None
    keys_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Keys as JSON lines, beside those of the store.")
    ] = None
    vectors: Annotated[
        list[str] | None, typer.Option(metavar="DIR", help="Folders of vector files; may be repeated.")
    ] = None
    insecure_dev: Annotated[
        bool | None, typer.Option("--insecure-dev", help="No keys: this machine may do everything.")
    ] = None
    check: Annotated[bool, typer.Option("--check", help="Say whether it would start, and do not start.")] = (
        False
    )
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file with the table [serve] [symposia.toml].")
    ] = None
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on consecutive ports, for upstream models [1].")
    ] = None
    server: Annotated[str | None, typer.Option(help="uvicorn or granian [uvicorn].")] = None
    max_body_bytes: Annotated[int | None, typer.Option(help="Longest body read [8 MiB].")] = None
    max_messages: Annotated[int | None, typer.Option(help="Messages a request [2048].")] = None
    max_n: Annotated[int | None, typer.Option(help="Choices a request [8].")] = None
    default_output_tokens: Annotated[int | None, typer.Option(help="Where a caller says nothing [512].")] = (
        None
    )
    max_output_tokens: Annotated[int | None, typer.Option(help="Whatever a caller says [4096].")] = None
    max_in_flight: Annotated[int | None, typer.Option(help="Requests at once; more get 503 [512].")] = None
    connect_s: Annotated[float | None, typer.Option(help="To a usable connection [5].")] = None
    first_token_s: Annotated[float | None, typer.Option(help="From there to the first piece [60].")] = None
    idle_s: Annotated[float | None, typer.Option(help="Between two pieces [30].")] = None
    total_s: Annotated[float | None, typer.Option(help="Over all [600].")] = None
    ping_s: Annotated[float | None, typer.Option(help="Silence before a comment is sent [15].")] = None
    write_stall_s: Annotated[float | None, typer.Option(help="A reader that takes nothing [60].")] = None
    drain_s: Annotated[float | None, typer.Option(help="What running requests get at the end [30].")] = None
    upstream_rate_status: Annotated[
        int | None, typer.Option(help="Status where the upstream is busy: 529 or 429 [529].")
    ] = None
    stop_degenerate: Annotated[
        bool | None, typer.Option("--stop-degenerate", help="End replies that go round in circles.")
    ] = None
    pace: Annotated[
        str | None,
        typer.Option(help="Of replay:FILE models: as fast as read (none) or as recorded (real) [none]."),
    ] = None
    tls_cert: Annotated[str | None, typer.Option(metavar="FILE", help="Certificate chain, PEM.")] = None
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="Its private key, PEM.")] = None
    cors_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Browsers of this origin may ask.")
    ] = None
    log: Annotated[str | None, typer.Option(help="json or text [json].")] = None
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error [info].")] = None
    otel_content: Annotated[bool | None, typer.Option("--otel-content", help="Spans hold what was said.")] = (
        None
    )
    json: Annotated[bool, typer.Option("--json", help="--check for programs.")] = False

    @property
    def flags(self) -> dict[str, object]:
        """The settings that were given as flags."""
        given: dict[str, object] = {}
        for field in fields(self):
            value = vars(self)[field.name]
            name = _LISTS.get(field.name, field.name)
            if value is None or name not in FIELDS:
                continue
            if name == "models":
                given[name] = models_of(value)
            elif name == "only":
                given[name] = [one.strip() for one in value.split(",") if one.strip()]
            else:
                given[name] = value
        return given
