"""What the store refuses, as the caller is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from symposia.core.store import Conflict
from symposia.serve.budget import AmbiguousBudget
from symposia.serve.faults import Fault
from symposia.serve.policies import UnknownPool
from symposia.store.keys import UnknownKey
from symposia.store.refusals import AliasConflict, InUse, UnknownProfile


@contextmanager
def told() -> Iterator[None]:
    """Within it, refusals of the store become faults with codes of their own; the rest is left to the boundary."""
    try:
        yield
    except AliasConflict as error:
        raise Fault("alias_conflict", str(error), param="expect").facing(current=error.current) from error
    except InUse as error:
        raise Fault("in_use", str(error), param="digest").facing(used_by=error.aliases) from error
    except UnknownProfile as error:
        raise Fault("steering_profile_not_found", str(error), param="digest") from error
    except UnknownKey as error:
        raise Fault("not_found", str(error), param="key") from error
    except UnknownPool as error:
        raise Fault("not_found", str(error), param="pool") from error
    except Conflict as error:
        raise Fault("server_is_overloaded", "it changes faster than it can be read; ask again") from error
    except AmbiguousBudget as error:
        raise Fault("ambiguous_budget", str(error), param="overrides") from error
