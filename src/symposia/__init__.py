"""Language models that talk to each other, with the inside open: conversations, steering, captures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .core.version import __version__

_HOME = {
    **dict.fromkeys(
        (
            "Ablate",
            "Add",
            "Angle",
            "Cap",
            "Gate",
            "Heads",
            "Latent",
            "Replace",
            "Scale",
            "Schedule",
            "Set",
            "Slerp",
            "Swap",
        ),
        "symposia.core.intervention",
    ),
    "Capture": "symposia.core.capture",
    "Conversation": "symposia.facade",
    "Participant": "symposia.core.profile",
    "Profile": "symposia.core.profile",
    "Sampling": "symposia.core.profile",
    "Scenario": "symposia.talk.scenario",
    "Scripted": "symposia.backends",
    "Kit": "symposia.talk.rules",
    "McpTools": "symposia.talk.mcp",
    "Tool": "symposia.talk.tools",
    "ToolBox": "symposia.talk.tools",
    "calculator": "symposia.talk.calculator",
    "python_tool": "symposia.talk.python_tool",
    "tool": "symposia.talk.tools",
    "Design": "symposia.interp.dose.values",
    "Push": "symposia.interp.dose.values",
    "ActivationQuery": "symposia.interp.acts.query",
    "ActivationStore": "symposia.interp.acts.store",
    "Groups": "symposia.interp.groups",
    "activations": "symposia.facade",
    "answer_start": "symposia.core.positions",
    "Scoring": "symposia.evals.scorecard.prepare",
    "calibrate": "symposia.facade",
    "adebate": "symposia.debates",
    "debate": "symposia.debates",
    "debate_eval": "symposia.debates",
    "DebateAnswer": "symposia.talk.debate",
    "Seat": "symposia.talk.debate",
    "Team": "symposia.talk.debate",
    "evaluate": "symposia.facade",
    "fit": "symposia.facade",
    "load_direction": "symposia.facade",
    "keeping": "symposia.facade",
}
__all__ = [  # noqa: PLE0604  the lazy names are the table above
    "__version__",
    *_HOME,
]

if TYPE_CHECKING:
    from .backends import Scripted as Scripted
    from .core.capture import Capture as Capture
    from .core.intervention import Ablate as Ablate
    from .core.intervention import Add as Add
    from .core.intervention import Angle as Angle
    from .core.intervention import Cap as Cap
    from .core.intervention import Gate as Gate
    from .core.intervention import Heads as Heads
    from .core.intervention import Latent as Latent
    from .core.intervention import Replace as Replace
    from .core.intervention import Scale as Scale
    from .core.intervention import Schedule as Schedule
    from .core.intervention import Set as Set
    from .core.intervention import Slerp as Slerp
    from .core.intervention import Swap as Swap
    from .core.positions import answer_start as answer_start
    from .core.profile import Participant as Participant
    from .core.profile import Profile as Profile
    from .core.profile import Sampling as Sampling
    from .debates import adebate as adebate
    from .debates import debate as debate
    from .debates import debate_eval as debate_eval
    from .evals.scorecard.prepare import Scoring as Scoring
    from .facade import Conversation as Conversation
    from .facade import activations as activations
    from .facade import calibrate as calibrate
    from .facade import evaluate as evaluate
    from .facade import fit as fit
    from .facade import keeping as keeping
    from .facade import load_direction as load_direction
    from .interp.acts.query import ActivationQuery as ActivationQuery
    from .interp.acts.store import ActivationStore as ActivationStore
    from .interp.dose.values import Design as Design
    from .interp.dose.values import Push as Push
    from .interp.groups import Groups as Groups
    from .talk.calculator import calculator as calculator
    from .talk.debate import DebateAnswer as DebateAnswer
    from .talk.debate import Seat as Seat
    from .talk.debate import Team as Team
    from .talk.mcp import McpTools as McpTools
    from .talk.python_tool import python_tool as python_tool
    from .talk.rules import Kit as Kit
    from .talk.scenario import Scenario as Scenario
    from .talk.tools import Tool as Tool
    from .talk.tools import ToolBox as ToolBox
    from .talk.tools import tool as tool


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562): `import symposia` stays light."""
    if name not in _HOME:
        raise AttributeError(
            f"module 'symposia' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}"
        )
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*globals(), *_HOME))
