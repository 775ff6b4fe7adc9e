"""One module a noun, each with a typer application of its own."""
