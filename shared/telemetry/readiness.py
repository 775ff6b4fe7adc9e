"""Whether a service can do its work now, and if not, why."""

from collections.abc import Callable


class Readiness:
    """Named checks; each answers None when all is well, else the reason in a sentence. Asked by `/readyz`."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], str | None]] = {}

    def add(self, name: str, check: Callable[[], str | None]) -> None:
        """Adds a check, or replaces the one of that name. It must answer at once."""
        self._checks[name] = check

    def problems(self) -> dict[str, str]:
        """The reasons for not being ready, by check; empty when ready."""
        found = {name: check() for name, check in self._checks.items()}
        return {name: reason for name, reason in found.items() if reason is not None}
