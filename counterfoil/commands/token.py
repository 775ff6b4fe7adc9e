"""`counterfoil token`: the first admin token, and the others over codegen's API."""

import asyncio
from typing import Annotated, Any

import typer

from counterfoil.environment import CommandError
from counterfoil.http import in_path, service
from counterfoil.printing import AsJson, print_json

app = typer.Typer(no_args_is_help=True)


@app.command("bootstrap")
def bootstrap() -> None:
    """Makes the first admin token, once, on codegen's database, and prints it. It is shown this once."""
    from services.codegen.app import Refused, bootstrap_admin_token

    try:
        typer.echo(asyncio.run(bootstrap_admin_token()))
    except Refused as refused:
        raise CommandError(str(refused)) from None


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What or who it is for")],
    scope: Annotated[list[str], typer.Option(help="admin, ops, reports, platform:NAME, store:ID or chain:ID; repeatable")],
    expires_at: Annotated[str | None, typer.Option(help="RFC 3339; never by default")] = None,
    json: AsJson = False,
) -> None:
    """Makes a token and prints it. It is shown this once."""
    answer = asyncio.run(_call("POST", "/v1/tokens", {"name": name, "scopes": scope, "expires_at": expires_at}))
    if json:
        print_json(answer)
    else:
        typer.echo(answer["token"])


@app.command("list")
def show(json: AsJson = False) -> None:
    """Lists the tokens, without their texts."""
    tokens = asyncio.run(_list())
    if json:
        print_json(tokens)
        return
    for token in tokens:
        ended = "revoked" if token["revoked_at"] else f"until {token['expires_at'] or 'revoked'}"
        typer.echo(f"{token['id']}  {token['name']}  {' '.join(token['scopes'])}  {ended}")


@app.command("revoke")
def revoke(token_id: str) -> None:
    """Ends a token; within seconds every service refuses it."""
    asyncio.run(_call("DELETE", f"/v1/tokens/{in_path(token_id)}", None))


async def _call(method: str, path: str, body: dict[str, object] | None) -> Any:
    async with service("codegen") as codegen:
        return await codegen.call(method, path, body)


async def _list() -> list[Any]:
    async with service("codegen") as codegen:
        return await codegen.items("/v1/tokens")
