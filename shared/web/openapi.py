"""`/openapi.json` (OpenAPI 3.1) from the route table's own types, and `/docs` as a plain page without anything from outside."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from types import UnionType
from typing import Any, Final

import jinja2
import msgspec
from pydantic import TypeAdapter

from shared.web.pages import SHARED_TEMPLATES
from shared.web.routes import Fields, Route

_REFERENCES: Final = "#/components/schemas/{model}"
_PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def openapi_document(*, title: str, description: str, version: str, routes: Iterable[Route]) -> dict[str, Any]:
    """The document of a route table; hidden routes (pages and their parts) are left out."""
    components: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if not route.hidden:
            paths.setdefault(_path(route), {})[route.method.lower()] = _operation(route, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": version},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def docs_page(document: dict[str, Any]) -> str:
    """The document as HTML for people."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(SHARED_TEMPLATES), autoescape=True)
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return environment.get_template("docs.html").render(info=document["info"], operations=operations)


def _path(route: Route) -> str:
    return re.sub(r"{(\w+):[^}]*}", r"{\1}", route.path)


def _operation(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{_path(route)}").strip("_"),
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route, components)],
        "responses": _responses(route, components),
    }
    if route.scopes is not None:
        operation["security"] = [{"token": []}]
        operation["x-scopes"] = list(route.scopes)
    if route.body is not None:
        schema = _schema(route.body, components, mode="validation")
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema} for kind in route.accepts}}
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", _path(route))
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    schema = route.query.model_json_schema(ref_template=_REFERENCES, by_alias=True)
    components.update(schema.pop("$defs", {}))
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": field,
            "description": field.pop("description", ""),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _responses(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    schema = _schema(route.answer, components, mode="serialization") if route.answer is not None else {}
    if route.content_type != "application/json" and not schema:
        schema = {"type": "string"}
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.SEE_OTHER):
        success["content"] = {route.content_type: {"schema": schema}}
    return {str(route.status): success, **{str(status): _problem(status) for status in _problem_statuses(route)}}


def _problem_statuses(route: Route) -> Sequence[int]:
    statuses = {*route.problems}
    if route.scopes is not None:
        statuses |= {401, 403 if route.changes else 404, 503}
    if route.body is not None:
        statuses |= {400, 413, 422}
    if route.query.model_fields:
        statuses.add(422)
    if "{" in route.path:
        statuses.add(404)
    return sorted(statuses)


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": HTTPStatus(status).phrase, "content": {"application/problem+json": {"schema": schema}}}


def _schema(kind: Any, components: dict[str, Any], *, mode: Any) -> dict[str, Any]:
    if isinstance(kind, UnionType):
        return {"anyOf": [_schema(one, components, mode=mode) for one in kind.__args__]}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        (schema,), found = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
        components.update(found)
        return dict(schema)
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    schema = adapter.json_schema(ref_template=_REFERENCES, mode=mode, by_alias=True)
    components.update(schema.pop("$defs", {}))
    if isinstance(kind, type) and issubclass(kind, Fields) and "title" in schema:
        components[kind.__name__] = schema
        return {"$ref": _REFERENCES.format(model=kind.__name__)}
    return schema
