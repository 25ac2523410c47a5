"""A web server for the benchmark: a short answer, a stream of a GiB, WebSockets that say nothing."""
import asyncio
import base64
import hashlib

BLOCK = bytes(1 << 20)


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
            path = head.split(" ", 2)[1]
            if path == "/socket":
                await upgrade(head, writer)
                await reader.read()
                return
            if path == "/stream":
                await stream(writer)
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def upgrade(head, writer):
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    sent = next(line for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    key = sent.split(": ", 1)[1] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    assert fields["upgrade"] == "websocket"
    answer = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    writer.write(answer.encode())
    await writer.drain()


async def stream(writer):
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 30}\r\n\r\n".encode())
    for _ in range(1024):
        writer.write(BLOCK)
        await writer.drain()


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 8000, backlog=1024)
    async with server:
        await server.serve_forever()


asyncio.run(main())
