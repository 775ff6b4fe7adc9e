"""What the redemption service reads from the environment."""

from pydantic import Field

from shared.environment import ServiceSettings, service_variable


class RedemptionSettings(ServiceSettings):
    """Settings of the redemption service; `REDEMPTION_X` wins over `X` where both are set."""

    database_url: str = service_variable(
        "redemption", "database_url", description="postgresql:// address of the schema redemption"
    )
    host: str = service_variable("redemption", "host", default="127.0.0.1", description="Address to listen on")
    port: int = service_variable(
        "redemption", "port", default=0, ge=0, le=65535, description="Port to listen on; 0 takes a free one"
    )
    redemption_batch_records: int = Field(default=2_000, ge=1, le=10_000, description="Most records decided together")
    redemption_pace_milliseconds: float = Field(default=10.0, ge=0, le=1_000, description="Pause after a small batch")
    redemption_outcome_wait_seconds: float = Field(
        default=10.0, gt=0, le=120, description="How long HTTP and XML-RPC callers wait for their outcome"
    )
    redemption_session_timeout_milliseconds: int = Field(
        default=10_000,
        ge=1_000,
        le=300_000,
        description="After this long without a sign of life a copy's partitions are given away",
    )
    redemption_attempts_per_minute: int = Field(default=10, ge=1, description="Failed attempts of a player in a minute")
    redemption_attempts_per_day: int = Field(default=100, ge=1, description="Failed attempts of a player in 24 hours")
    redemption_breaker_requests: int = Field(
        default=200, ge=1, description="A platform's requests in a minute from which it is refused guesses if most are unknown"
    )
    redemption_global_breaker_requests: int = Field(default=2_000, ge=1, description="The same for all platforms together")
