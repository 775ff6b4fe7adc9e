"""`python -m services.ranking`"""

from services.ranking.app import RankingSettings, running
from shared.lifecycle import run_service

run_service("ranking", RankingSettings, running)
