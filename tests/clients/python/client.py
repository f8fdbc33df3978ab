"""A driver for the official Python SDK, used as its documentation shows.

Takes one command a line on standard input and gives one event a line on standard output, both
JSON. The first line is the server's URL. It opens no browser: an event asks for that.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qsl, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

CALLBACK = "/callback"


class MemoryStorage:
    """Where an application would keep things."""

    tokens: OAuthToken | None = None
    client_info: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client_info

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client_info = client_info


class Callback:
    """A loopback listener that waits for the browser to come back."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def listen(self) -> str:
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}{CALLBACK}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readline()
        while await reader.readline() not in (b"\r\n", b""):
            pass
        target = urlsplit(request.split()[1].decode())
        if target.path == CALLBACK:
            self.answers.put_nowait(dict(parse_qsl(target.query)))
        page = b"<!doctype html><title>Back at the client</title>"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + page)
        await writer.drain()
        writer.close()


def say(event: dict) -> None:
    print(json.dumps(event), flush=True)


async def main() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)

    url = json.loads(await commands.readline())["url"]
    callback = Callback()
    redirect_uri = await callback.listen()
    storage = MemoryStorage()

    async def open_browser(authorization_url: str) -> None:
        say({"authorize": authorization_url})

    async def wait_for_callback() -> AuthorizationCodeResult:
        answer = await callback.answers.get()
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

    provider = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="Portcullis client tests",
            redirect_uris=[redirect_uri],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        ),
        storage=storage,
        redirect_handler=open_browser,
        callback_handler=wait_for_callback,
    )

    async def call(client: Client, name: str, arguments: dict) -> dict:
        result = await client.call_tool(name, arguments)
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def obey(client: Client, command: dict) -> object:
        match command["do"]:
            case "tools":
                return [tool.name for tool in (await client.list_tools()).tools]
            case "call":
                return await call(client, command["name"], command["arguments"])
            case "race":
                return await asyncio.gather(*(call(client, "whoami", {}) for _ in range(command["count"])))
            case "version":
                return client.protocol_version
        raise ValueError(command)

    async def next_command() -> dict | None:
        while line := await commands.readline():
            command = json.loads(line)
            if command["do"] != "tokens":
                return command
            say({"result": storage.tokens and storage.tokens.model_dump(mode="json", exclude_none=True)})
        return None

    async with httpx2.AsyncClient(auth=provider, timeout=20) as http_client:
        while command := await next_command():
            # A broken connection ends the SDK's client; an application opens another one over the
            # same credentials, for which it needs nobody.
            try:
                async with Client(streamable_http_client(url, http_client=http_client), read_timeout_seconds=20) as client:
                    while command:
                        say({"result": await obey(client, command)})
                        command = await next_command()
            except Exception as error:
                say({"error": " | ".join(f"{type(e).__name__}: {e}" for e in flat(error))})


def flat(error: Exception) -> list[Exception]:
    return [leaf for e in error.exceptions for leaf in flat(e)] if isinstance(error, ExceptionGroup) else [error]


asyncio.run(main())
