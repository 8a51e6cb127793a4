"""The MCP server at /mcp (streamable HTTP): search, ask, get_document and list_collections under the same tokens."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from core.api.bearer import token_user
from core.api.errors import error_body
from core.api.mcp_tools import ask, get_document, list_collections, search
from core.api.threads import in_thread

INSTRUCTIONS = (
    "Documents, pictures and recordings of an organisation, kept in collections. Find passages with 'search', get a "
    "cited answer with 'ask', read a whole document with 'get_document'. Every place is an anchor: page and box, "
    "seconds of a recording, cells of a sheet, or characters of a text."
)


class McpApplication:
    """An ASGI application around the SDK's server: allowed hosts, then the token, then the protocol."""

    def __init__(self) -> None:
        self._server: MCPServer[Any] = MCPServer(name="cloister", title="Cloister", instructions=INSTRUCTIONS)
        for tool in (list_collections, search, ask, get_document):
            self._server.add_tool(tool)
        protocol = self._server.streamable_http_app(
            streamable_http_path="/mcp",
            # Every request stands alone: a restart of the web process, or a second one, loses no session.
            stateless_http=True,
            # ALLOWED_HOSTS knows patterns that the SDK's list does not: the check stands in ``__call__``.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        guarded = RequireAuthMiddleware(AuthContextMiddleware(protocol), required_scopes=[])
        self._guarded = AuthenticationMiddleware(guarded, backend=BearerAuthBackend(_Tokens()))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the SDK's sessions for the lifetime of the web process."""
        async with self._server.session_manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope)
        if problem := _stranger(headers.get("host", ""), headers.get("origin", "")):
            await JSONResponse(error_body("host_not_allowed", problem), status_code=421)(scope, receive, send)
            return
        await self._guarded({**scope, "path": "/mcp"}, receive, send)


class _Tokens:
    async def verify_token(self, token: str) -> AccessToken | None:
        user = await in_thread(lambda: token_user(token))
        if user is None:
            return None
        return AccessToken(token=token, client_id=str(user.pk), subject=str(user.pk), scopes=[])


def _stranger(host: str, origin: str) -> str:
    for named in (host, urlsplit(origin).netloc if origin else host):
        domain, _port = split_domain_port(named)
        if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
            return f"this server does not answer to '{named}'; CLOISTER_ALLOWED_HOSTS names the hosts it answers to"
    return ""
