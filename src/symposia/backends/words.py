"""What is said where nobody wrote it: words that follow from the request's digest, in the form it asks for. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

from symposia.core.example import example
from symposia.core.request import Request
from symposia.core.value import canonical

LEAST, MOST = 12, 40
_WORDS = (
    "a also and answer as ask at because begins between bridge by call calm choose city clear close colour come "
    "day does each early end every far field first follow from garden give good green half hand has here house "
    "how in into is it keep kind know late learn leaf light line little long look make many map may meet mind "
    "more morning most moves much name near needs new next night not note now of old on once one open or other "
    "our out own paper part path place plain point quiet rain read rest right river road room round same say sea "
    "see seems sets side simple slow small so some soon sound stand start stay still stone story such summer take "
    "talk tell than that the then there these thing think this time to together town tree true turn two under "
    "until up use very voice walk warm was watch water way we well what when where while who why wide will wind "
    "winter with word work world would write year yes you young"
).split()


def made_of(request: Request) -> str | dict[str, Any]:
    """A text; arguments of the forced tool, JSON of the schema or one of the choices where the request wants that."""
    if request.force is not None:
        arguments: dict[str, Any] = example(request.force.parameters)
        return arguments
    if request.schema is not None:
        return canonical(example(request.schema)).decode()
    seed = hashlib.sha256(request.digest.encode()).digest()
    if request.choices:
        return request.choices[seed[0] % len(request.choices)]
    count = LEAST + seed[0] % (MOST - LEAST + 1)
    stream = hashlib.shake_256(seed).digest(2 * count)
    words = [_WORDS[int.from_bytes(stream[2 * i : 2 * i + 2]) % len(_WORDS)] for i in range(count)]
    return " ".join(words).capitalize() + "."
