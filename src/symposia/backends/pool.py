"""One event loop's connections to one server, and who looks at what is under way there.

No proxy, cookie or `netrc` of the environment is used, no redirect followed, nothing of a caller's headers sent on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from .causes import AttemptFailed, lost
from .target import Response, Target
from .waits import Waits, Watch


class Unreached(AttemptFailed):
    """No connection could be made, so nothing was sent."""


class Pool:
    """As many connections as are needed at `url`; every request has `headers`."""

    def __init__(self, url: str, headers: Mapping[str, str], watch: Watch) -> None:
        self._url, self._headers = url, headers
        self._connector = aiohttp.TCPConnector(limit=0)
        self._targets: dict[str, Target] = {}
        self.watch = watch

    async def send(self, path: str, body: bytes | None, waits: Waits, *, traceparent: str = "") -> Response:
        """The response to a POST of JSON, or to a GET without a body; its headers read, its body still to come.

        Raises `Unreached` where nothing was sent, else `AttemptFailed(connection)`, or what `waits` ran into.
        """
        target, task = self._target(path, posts=body is not None), asyncio.current_task()
        assert task is not None, "an async generator of asyncio runs in a task"
        before = task.cancelling()
        waits.check()
        waits.ends(task.cancel)
        try:
            connection = await target.connect()
            waits.connected()
            response = await target.send(connection, body, traceparent)
        except asyncio.CancelledError:
            if waits.late is not None and task.uncancel() <= before:
                raise waits.failed() from None
            raise
        except aiohttp.ClientConnectorError as error:
            raise Unreached(lost("connection"), f"no connection: {_why(error)}") from None
        except (aiohttp.ClientConnectionError, OSError) as error:
            raise lost("connection").error(f"the connection ended before a reply: {_why(error)}") from None
        except (aiohttp.ClientError, HttpProcessingError) as error:
            raise lost("bad_response").error(f"not a reply in HTTP: {_why(error)}") from None
        finally:
            waits.ends(None)
        waits.ends(response.give_up)
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        self.watch.close()
        await self._connector.close()

    def _target(self, path: str, *, posts: bool) -> Target:
        target = self._targets.get(path)
        if target is None:
            method, kind = ("POST", {"content-type": "application/json"}) if posts else ("GET", {})
            url = URL(self._url + path)
            target = Target(self._connector, method, url, {**self._headers, **kind})
            self._targets[path] = target
        return target


def _why(error: BaseException) -> str:
    """The kind of a failure, never its words: they name hosts."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return type(inner).__name__
