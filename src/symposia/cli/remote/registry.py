"""Profiles and aliases of a running server. Who acts is whose key it is, so actors given here are not sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symposia.core.errors import InvalidInput
from symposia.serve.admin.shown import (
    AliasList,
    AuditPage,
    Created,
    Moved,
    Moves,
    ProfileList,
    ProfileShown,
)
from symposia.store.profiles import Stored
from symposia.store.refusals import AliasConflict, InUse, UnknownProfile

from .client import Client, Refused, piece

if TYPE_CHECKING:
    from symposia.core.profile import Profile
    from symposia.store.audit import AuditRow
    from symposia.store.profiles import Alias, Move
    from symposia.store.verify import Verified

NONE = "none"


class RemoteRegistry:
    """As `symposia.cli.registry.Registry` promises."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.profiles = RemoteProfiles(client)

    def audit(self, since: int = 0) -> tuple[AuditRow, ...]:
        """Every act after a number, page by page."""
        rows: list[AuditRow] = []
        while page := self._client.read(AuditPage, "/audit", {"since": since}).rows:
            rows += page
            since = page[-1].seq
        return tuple(rows)

    def verify(self) -> Verified:
        """Not over HTTP: it is the store that is held to its word."""
        raise InvalidInput("--verify reads the store itself, not what a server says of it; expected --store")


class RemoteProfiles:
    """As `symposia.store.profiles.Profiles` promises, as far as `symposia.cli.registry` asks for it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, profile: Profile, *, actor: str, note: str = "") -> str:
        """Keep a profile; the server tries it on its model first."""
        del actor
        query = {"reason": note} if note else None
        return self._client.change(Created, "POST /profiles", profile, query=query).digest

    def stored(self, digest: str) -> Stored:
        """The profile of a digest, with where it came from."""
        return _stored(self._shown(digest))

    def all(self) -> tuple[Stored, ...]:
        """Every profile, archived ones too."""
        return tuple(map(_stored, self._client.read(ProfileList, "/profiles").profiles))

    def aliases(self, model: str | None = None) -> tuple[Alias, ...]:
        """Where every alias points, of one model or all."""
        query = None if model is None else {"model": model}
        return self._client.read(AliasList, "/aliases", query).aliases

    def resolve(self, model: str, selector: str) -> str:
        """The digest an alias of a model, or the beginning of a digest, stands for."""
        if selector.startswith("sha256:"):
            return self.find(selector)
        known = {alias.name: alias.digest for alias in self.aliases(model)}
        if selector not in known:
            raise UnknownProfile(selector, known)
        return known[selector]

    def find(self, selector: str, *, model: str | None = None, archived: bool = False) -> str:
        """The whole digest that a shortened one begins."""
        found = self._shown(selector)
        if (found.archived is not None and not archived) or model not in (None, found.profile.model):
            known = (f"{one.digest} ({one.name})" for one in self.aliases(model))
            raise UnknownProfile(selector, known, archived=found.archived is not None)
        return found.digest

    def move(
        self,
        model: str,
        alias: str,
        to: str | None,
        *,
        expect: str | None,
        actor: str,
        reason: str,
        evidence: str = "",
    ) -> int:
        """Point an alias at a profile, or nowhere, if it is at `expect`."""
        del actor
        told = {"expect": expect or NONE, "reason": reason, "evidence": evidence}
        path = f"/aliases/{piece(model)}/{piece(alias)}"
        try:
            if to is None:
                return self._client.change(Moved, f"DELETE {path}", query=told).seq
            return self._client.change(Moved, f"PUT {path}", {"to": to, **told}).seq
        except Refused as refused:
            if refused.code != "alias_conflict":
                raise
            current = refused.said.current
            raise AliasConflict(model=model, alias=alias, expected=expect, current=current) from refused

    def archive(self, digest: str, *, actor: str, reason: str) -> None:
        """Let a profile answer no more."""
        del actor
        try:
            self._client.change(ProfileShown, f"POST /profiles/{piece(digest)}/archive", {"reason": reason})
        except Refused as refused:
            if refused.code != "in_use":
                raise
            raise InUse(digest, refused.said.used_by) from refused

    def history(self, model: str, alias: str) -> tuple[Move, ...]:
        """Every move of an alias; none, if there never was one."""
        try:
            return self._client.read(Moves, f"/aliases/{piece(model)}/{piece(alias)}/history").moves
        except Refused as refused:
            if refused.code != "not_found":
                raise
            return ()

    def _shown(self, selector: str) -> ProfileShown:
        return self._client.read(ProfileShown, f"/profiles/{piece(selector)}")


def _stored(one: ProfileShown) -> Stored:
    return Stored(
        digest=one.digest,
        profile=one.profile,
        created=one.created,
        actor=one.actor,
        note=one.note,
        archived=one.archived,
    )
