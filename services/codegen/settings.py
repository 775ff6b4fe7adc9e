"""What codegen reads from the environment, once, at its start."""

from pydantic import Field

from shared.environment import ServiceSettings, service_variable


class CodegenSettings(ServiceSettings):
    """Settings of the codegen service; `CODEGEN_X` wins over `X` where both are set."""

    database_url: str = service_variable("codegen", "database_url", description="postgresql:// address of the schema codegen")
    host: str = service_variable("codegen", "host", default="127.0.0.1", description="Address to listen on")
    port: int = service_variable(
        "codegen", "port", default=0, ge=0, le=65535, description="Port to listen on; 0 takes a free one"
    )
    codegen_database_connections: int = Field(default=12, ge=4, le=100, description="Connections of one copy to Postgres")
    codegen_worker_dead_after_seconds: float = Field(
        default=5.0, ge=2, le=600, description="A batch whose worker was not heard of for so long is taken over"
    )
    codegen_acknowledge_seconds: float = Field(
        default=15.0, gt=0, le=120, description="How long an answer waits while Kafka takes nothing of what it announces"
    )
    codegen_words: str = Field(
        default="1", description="Version of the list of words that new codes must not hold; none for none"
    )
    codegen_least_guesses_per_hit: int = Field(
        default=10_000, ge=1, description="A batch that would make guessing easier than one hit in so many is refused"
    )
