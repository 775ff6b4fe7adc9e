"""What ranking reads from the environment."""

from pydantic import Field

from shared.environment import ServiceSettings, service_variable


class RankingSettings(ServiceSettings):
    """Settings of the ranking service; `RANKING_X` wins over `X` where both are set."""

    database_url: str = service_variable("ranking", "database_url", description="postgresql:// address of the schema ranking")
    host: str = service_variable("ranking", "host", default="127.0.0.1", description="Address to listen on")
    port: int = service_variable("ranking", "port", default=0, ge=0, le=65535, description="Port; 0 takes a free one")
    ranking_fold_seconds: float = Field(
        default=0.25, gt=0, le=10, description="Least time between two writes of scores; memory is not held up by it"
    )
    ranking_refresh_seconds: float = Field(
        default=0.2, gt=0, le=5, description="Least time between two refreshes of the boards"
    )
    ranking_session_timeout_milliseconds: int = Field(
        default=10_000,
        ge=1_000,
        le=300_000,
        description="After this long without a sign of life a copy's partitions are given away",
    )
    ranking_late_hours: float = Field(
        default=24.0, ge=0, le=24 * 60, description="How long after its end late events still count for a window"
    )
    ranking_certify_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="How often is looked for windows to certify"
    )
    ranking_cors_origins: str = Field(
        default="", description="Origins whose pages may read boards, separated by commas; * for any. None by default"
    )

    @property
    def cors_origins(self) -> frozenset[str]:
        return frozenset(origin.strip().rstrip("/") for origin in self.ranking_cors_origins.split(",") if origin.strip())
