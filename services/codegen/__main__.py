"""`python -m services.codegen`"""

from services.codegen.app import CodegenSettings, running
from shared.lifecycle import run_service

run_service("codegen", CodegenSettings, running)
