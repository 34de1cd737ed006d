"""Python's websockets, as client of our server and as server of our client.

Prints a line for each test and, last, how many passed. Environment: WINGBEAT_REFERENCE_APP and WINGBEAT_PEER_CLIENT name
our programs.
"""

import asyncio
import os
import random
import re
import sys
import traceback

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

SIZES = [0, 1, 125, 126, 127, 511, 512, 4096, 16383, 16384, 65535, 65536, 200_000, 1 << 20]
MAX_SIZE = 4 << 20
PATIENCE = 60


def messages():
    """Text as it is, bytes that do not compress, and bytes that compress well."""
    chance = random.Random(1)
    words = "größe 水 κόσμε 🐦 hello wing beat and the a river Übung naïve 1729".split()
    text = " ".join(chance.choices(words, k=max(SIZES)))
    noise = chance.randbytes(max(SIZES))
    for size in SIZES:
        yield text[:size]
        yield noise[:size]
        yield b"\x07" * size


async def start_echo():
    """Starts the reference app; returns it and the URL of its echo."""
    app = await asyncio.create_subprocess_exec(
        os.environ["WINGBEAT_REFERENCE_APP"], "--listen", "127.0.0.1:0", stdout=asyncio.subprocess.PIPE
    )
    async for line in app.stdout:
        if line.startswith(b"listening on "):
            return app, f"ws://{line.decode().split()[-1]}/echo"
    raise RuntimeError("the reference app ended before it listened")


async def as_client(offer, expected):
    """Sends everything and wants it back."""
    app, url = await start_echo()
    try:
        async with connect(
            url, compression=None, extensions=[offer] if offer else None, max_size=MAX_SIZE, proxy=None
        ) as socket:
            answer = socket.response.headers.get("Sec-WebSocket-Extensions", "")
            assert parameters(answer) == parameters(expected), answer
            for message in messages():
                await socket.send(message)
                assert await socket.recv() == message, len(message)
            # In fragments, a Ping in between.
            pieces = [f"piece {piece}, " * piece for piece in range(50)]
            await socket.send(pieces)
            assert await socket.recv() == "".join(pieces)
            await (await socket.ping(b"there?"))
        assert socket.close_code == 1000, socket.close_code
    finally:
        app.kill()
        await app.wait()


async def as_server(extension, options, expected):
    """Echoes for our client, which wants everything back."""

    async def echo(socket):
        async for message in socket:
            await socket.send(message)

    extensions = [extension] if extension else None
    async with serve(echo, "127.0.0.1", 0, compression=None, extensions=extensions, max_size=MAX_SIZE) as server:
        port = server.sockets[0].getsockname()[1]
        client = await asyncio.create_subprocess_exec(
            os.environ["WINGBEAT_PEER_CLIENT"], f"ws://127.0.0.1:{port}/", *options, stdout=asyncio.subprocess.PIPE
        )
        output = (await client.communicate())[0].decode()
        assert client.returncode == 0, f"our client ended with {client.returncode}"
        agreed, count = re.fullmatch(r"agreed: (.*)\n(\d+) messages came back\n", output).groups()
        assert parameters(agreed) == parameters(expected), agreed
        assert int(count) > 40, count


def parameters(extension):
    return sorted(part.strip() for part in extension.split(";"))


PLAIN = "permessage-deflate"
WITHOUT = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

TESTS = {
    "as client, takeover": lambda: as_client(ClientPerMessageDeflateFactory(client_max_window_bits=True), PLAIN),
    "as client, no takeover": lambda: as_client(ClientPerMessageDeflateFactory(True, True), WITHOUT),
    "as client, small windows": lambda: as_client(
        ClientPerMessageDeflateFactory(server_max_window_bits=10, client_max_window_bits=12),
        "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12",
    ),
    "as client, plain": lambda: as_client(None, ""),
    "as server, no takeover": lambda: as_server(ServerPerMessageDeflateFactory(), [], WITHOUT),
    "as server, takeover": lambda: as_server(ServerPerMessageDeflateFactory(), ["--takeover"], PLAIN),
    "as server, takeover that it refuses": lambda: as_server(
        ServerPerMessageDeflateFactory(True, True), ["--takeover"], WITHOUT
    ),
    "as server, small windows": lambda: as_server(
        ServerPerMessageDeflateFactory(server_max_window_bits=11, client_max_window_bits=9),
        ["--takeover"],
        "permessage-deflate; server_max_window_bits=11; client_max_window_bits=9",
    ),
    "as server, plain": lambda: as_server(None, [], "nothing"),
}


async def main():
    failed = 0
    for name, test in TESTS.items():
        try:
            await asyncio.wait_for(test(), PATIENCE)
            print(f"ok      websockets {name}", flush=True)
        except Exception:  # whatever it is, the others are run
            failed += 1
            print(f"FAILED  websockets {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    return failed


sys.exit(1 if asyncio.run(main()) else 0)
