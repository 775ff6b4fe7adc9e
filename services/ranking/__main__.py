"""`python -m services.ranking`"""

from services.ranking.app import running
from services.ranking.settings import RankingSettings
from shared.lifecycle import run_service

run_service("ranking", RankingSettings, running)
