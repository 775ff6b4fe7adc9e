"""The whole route table of codegen."""

from dataclasses import dataclass

from services.codegen.api.audit import AuditRoutes
from services.codegen.api.batches import BatchRoutes
from services.codegen.api.campaigns import CampaignRoutes
from services.codegen.api.codes import CodeRoutes
from services.codegen.api.exports import ExportRoutes
from services.codegen.api.pages.campaigns import CampaignPages
from services.codegen.api.pages.codes import CodePages
from services.codegen.api.pages.lists import ListPages
from services.codegen.api.pages.shell import Shell
from services.codegen.api.stores import StoreRoutes
from services.codegen.api.tokens import TokenRoutes
from services.codegen.api.voids import VoidRoutes
from services.codegen.handlers.audit import AuditHandlers
from services.codegen.handlers.batches import BatchHandlers
from services.codegen.handlers.campaigns import CampaignHandlers
from services.codegen.handlers.codes import CodeHandlers
from services.codegen.handlers.exports import ExportHandlers
from services.codegen.handlers.overview import OverviewHandlers
from services.codegen.handlers.stores import StoreHandlers
from services.codegen.handlers.tokens import TokenHandlers
from services.codegen.handlers.voids import VoidHandlers
from shared.web.pages import Pages
from shared.web.routes import Route
from shared.web.tokens import TokenDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """The use-cases behind the routes."""

    campaigns: CampaignHandlers
    stores: StoreHandlers
    batches: BatchHandlers
    exports: ExportHandlers
    voids: VoidHandlers
    codes: CodeHandlers
    tokens: TokenHandlers
    audit: AuditHandlers
    overview: OverviewHandlers


def page_routes(handlers: Handlers, pages: Pages, tokens: TokenDirectory) -> list[Route]:
    """Every route of the pages and their parts."""
    shell = Shell(pages, tokens, handlers.overview)
    return [
        *shell.routes(),
        *CampaignPages(shell, handlers.campaigns, handlers.batches, handlers.stores, handlers.overview).routes(),
        *CodePages(shell, handlers.codes, handlers.voids).routes(),
        *ListPages(shell, handlers.stores, handlers.tokens, handlers.audit, handlers.overview).routes(),
    ]


def api_routes(handlers: Handlers, tokens: TokenDirectory) -> list[Route]:
    """Every route of the API."""
    return [
        *CampaignRoutes(handlers.campaigns).routes(),
        *StoreRoutes(handlers.stores).routes(),
        *BatchRoutes(handlers.batches, tokens).routes(),
        *ExportRoutes(handlers.exports).routes(),
        *VoidRoutes(handlers.voids, handlers.codes).routes(),
        *CodeRoutes(handlers.codes).routes(),
        *TokenRoutes(handlers.tokens).routes(),
        *AuditRoutes(handlers.audit).routes(),
    ]
