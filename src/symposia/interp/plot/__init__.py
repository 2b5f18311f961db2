"""Figures of what was measured: matplotlib figures, to be shown or saved. Needs the extra `plot`.

Each takes values that are already there, and draws nothing that is not in them.
"""

from .doses import dose
from .drifts import drift
from .grids import patch
from .layered import layers
from .lenses import lens
from .spoken import Spoken, tokens
from .style import save

__all__ = ["Spoken", "dose", "drift", "layers", "lens", "patch", "save", "tokens"]
