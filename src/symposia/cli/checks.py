"""What the doctor looks at here: libraries, terminal, bundled weights. Nothing heavy is imported to be looked at."""

from __future__ import annotations

from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from symposia.core.doctor import Check, DoctorContext, Finding, Remedy
from symposia.core.doctor import doctor_checks as core_checks

_ENGINE = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "jinja2")
_INSTALL = Remedy("Install what local models need", ("pip install 'symposia[engine]'",))


def every_check(tty: bool) -> tuple[Check, ...]:
    """All packages' checks. `tty`: whether a person looks at stdout."""
    return (*core_checks(), *doctor_checks(tty))


def doctor_checks(tty: bool) -> tuple[Check, ...]:
    """The command line's own."""
    return (
        *(Check(f"cli.{name}", partial(_present, package)) for name, package in _OWN.items()),
        Check("cli.terminal", partial(_terminal, tty)),
        *(Check(f"engine.{name}", partial(_engine, name)) for name in _ENGINE),
        Check("engine.device", _device),
        Check("engine.kernels", _kernels),
        Check("weights.tiny", _bundled),
        Check("weights.tiny_speaks", _speaks, opt_in="load"),
    )


_OWN = {"typer": "typer", "rich": "rich", "yaml": "PyYAML"}


def _present(package: str, context: DoctorContext) -> Finding:
    del context
    return Finding("ok", f"{package} {version(package)}")


def _terminal(tty: bool, context: DoctorContext) -> Finding:
    kind = context.env.get("TERM", "")
    if not tty:
        return Finding("ok", "no terminal: output is plain lines", {"TERM": kind})
    colours = context.env.get("COLORTERM", "") or "as TERM says"
    return Finding("ok", f"terminal {kind or '?'}, colours: {colours}", {"TERM": kind})


def _engine(package: str, context: DoctorContext) -> Finding:
    del context
    try:
        return Finding("ok", f"{package} {version(package)}")
    except PackageNotFoundError:
        return Finding("warn", f"{package} is not installed: local models cannot run", {}, (_INSTALL,))


def _device(context: DoctorContext) -> Finding:
    """The device file is looked at, not the driver: torch takes seconds to load."""
    del context
    try:
        build = version("torch").partition("+")[2] or "the default build"
    except PackageNotFoundError:
        return Finding("skip", "torch is not installed")
    from pathlib import Path

    here = Path("/dev/nvidia0").exists()
    if here and build == "cpu":
        how = Remedy("Install a torch with CUDA", ("pip install --force-reinstall torch",))
        return Finding(
            "warn", "an NVIDIA device is here, but torch is built for the CPU", {"build": build}, (how,)
        )
    return Finding(
        "ok",
        "an NVIDIA device is here" if here else "no NVIDIA device: models run on the CPU",
        {"build": build},
    )


def _kernels(context: DoctorContext) -> Finding:
    """Looks for a compiler and a library; builds nothing."""
    del context
    from symposia.engine.native.build import Absent, planned

    plan = planned()
    if isinstance(plan, Absent):
        how = Remedy("Install a C compiler", ("sudo apt install gcc",))
        slower = f"native kernels: {plan.reason}; models on the CPU run on plain torch, about half as fast"
        return Finding("warn", slower, {}, (how,))
    details = {"compiler": plan.compiler, "library": str(plan.library)}
    state = "built" if plan.library.exists() else "will be built at the first use of a model"
    return Finding("ok", f"native kernels for the CPU: {state}, with {plan.compiler}", details)


def _bundled(context: DoctorContext) -> Finding:
    del context
    from symposia.core.models import resolve
    from symposia.core.value import content_digest, short

    folder = files("symposia").joinpath(resolve("symposia:tiny").name)
    weights = folder.joinpath("model.safetensors")
    again = Remedy(
        "Reinstall the package, which brings the weights", ("pip install --force-reinstall symposia",)
    )
    if not weights.is_file():
        return Finding("fail", "the bundled model symposia:tiny is missing", {}, (again,))
    raw = weights.read_bytes()
    name = content_digest(raw)
    details = {"digest": name, "bytes": len(raw)}
    return Finding("ok", f"symposia:tiny is here, {len(raw) / 1e6:.1f} MB, {short(name)}", details)


def _speaks(context: DoctorContext) -> Finding:
    del context
    from symposia.talk import portal

    from .modelcheck import try_to_speak

    return Finding("ok", f"symposia:tiny says {portal.call(try_to_speak('symposia:tiny'))!r}")
