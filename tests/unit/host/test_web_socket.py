from __future__ import annotations

import asyncio
import socket

from core.host.web_process import _bind


class TestListeningSocket:
    def test_accepts_connections_that_send_at_once(self):
        async def sends_at_once() -> bool:
            found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

            def connected(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                accepted = writer.get_extra_info("socket")
                found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                writer.close()

            listening = _bind("127.0.0.1", 0)
            async with await asyncio.start_server(connected, sock=listening):
                _, writer = await asyncio.open_connection(*listening.getsockname())
                noted = await asyncio.wait_for(found, 10)
                writer.close()
                await writer.wait_closed()
            return bool(noted)

        assert asyncio.run(sends_at_once())
