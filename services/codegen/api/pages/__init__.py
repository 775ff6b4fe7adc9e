"""Pages for admins, as `look.md` draws them: Jinja2 and htmx, each part answered by the handlers that the API calls."""
