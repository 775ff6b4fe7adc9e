"""Tags of a PDF: what its marks on paper are (headings, paragraphs, tables, figures), in reading order, for screen readers.

reportlab has none of its own; they are written as ISO 32000-1 says (14.7 logical structure, 14.8 tagged PDF): every piece of
content is marked by a number on its page, and a tree of elements refers to those numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.pdfbase.pdfdoc import XMP, LinkAnnotation, PDFArray, PDFDictionary, PDFName, PDFString

METADATA: Final = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{subject}</rdf:li></rdf:Alt></dc:description>
<dc:language><rdf:Bag><rdf:li>en</rdf:li></rdf:Bag></dc:language>
<xmp:CreatorTool>Counterfoil reporting</xmp:CreatorTool>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""

FIRST_LINK: Final = 100_000
"""Numbers in the tree of what is no page: above any number of pages."""


@dataclass(slots=True)
class _Element:
    kind: str
    alt: str = ""
    page: int = 0
    kids: list["_Element | int | _Link"] = field(default_factory=list)
    written: Any = None


@dataclass(frozen=True, slots=True)
class _Link:
    """The part of a page that leads somewhere, by its name in reportlab's document."""

    name: str


class _TaggedLink(LinkAnnotation):  # type: ignore[misc]
    """A link that says by which number the tree finds its element."""

    permitted = (*LinkAnnotation.permitted, "StructParent")


class Tags:
    """The tags of one canvas in the making. Pages are ended by `show_page`, the document by `finish` (before it is saved)."""

    def __init__(self, canvas: Any) -> None:
        self._canvas = canvas
        self._root = self._open = _Element("Document")
        self._marked: list[list[_Element]] = [[]]
        self._links: list[_Element] = []

    @contextmanager
    def group(self, kind: str) -> Iterator[None]:
        """What is tagged within belongs to an element (`Table`, `TR`, `TOC`)."""
        around, self._open = self._open, _Element(kind)
        around.kids.append(self._open)
        try:
            yield
        finally:
            self._open = around

    @contextmanager
    def content(self, kind: str, *, alt: str = "") -> Iterator[None]:
        """What is drawn within is one element (`H1`, `P`, `TD`, `Figure`); `alt` says what a figure shows."""
        on_page = self._marked[-1]
        element = _Element(kind, alt=alt, page=len(self._marked) - 1, kids=[len(on_page)])
        self._open.kids.append(element)
        self._mark(f"/{kind} <</MCID {len(on_page)}>> BDC")
        on_page.append(element)
        try:
            yield
        finally:
            self._mark("EMC")

    @contextmanager
    def link(self, destination: str, area: tuple[float, float, float, float], says: str) -> Iterator[None]:
        """What is drawn within leads to a bookmark, from anywhere in the area; `says` is what is told of the link."""
        number, name = FIRST_LINK + len(self._links), f"link-{len(self._links)}"
        with self.content("Link"):
            element = self._marked[-1][-1]
            yield
        element.kids.append(_Link(name))
        self._links.append(element)
        to = self._canvas._bookmarkReference(destination)  # noqa: SLF001 (as reportlab's own linkRect does)
        link = _TaggedLink(list(area), says, to, Border="[0 0 0]", StructParent=number)
        self._canvas._addAnnotation(link, name)  # noqa: SLF001

    @contextmanager
    def decoration(self) -> Iterator[None]:
        """What is drawn within says nothing: lines, page numbers, footers."""
        self._mark("/Artifact BMC")
        try:
            yield
        finally:
            self._mark("EMC")

    def show_page(self) -> None:
        self._canvas.showPage()
        page = self._document.Pages.pages[-1]
        page.__NoDefault__ = [*page.__NoDefault__, "StructParents", "Tabs"]
        page.StructParents, page.Tabs = len(self._marked) - 1, PDFName("S")
        self._marked.append([])

    def finish(self, *, title: str, subject: str) -> None:
        """Writes the tree, and the metadata as XMP beside the older kind."""
        catalog, root = self._document.Catalog, PDFDictionary({"Type": PDFName("StructTreeRoot")})
        self._write(self._root, root)
        numbers: list[Any] = []
        for page, elements in enumerate(self._marked[:-1]):
            numbers += [page, PDFArray([self._reference(element.written) for element in elements])]
        for number, element in enumerate(self._links, FIRST_LINK):
            numbers += [number, self._reference(element.written)]
        root["K"] = self._reference(self._root.written)
        root["ParentTree"] = self._reference(PDFDictionary({"Nums": PDFArray(numbers)}))
        catalog.StructTreeRoot, catalog.MarkInfo = root, PDFDictionary({"Marked": "true"})
        metadata = METADATA.format(title=escape(title), subject=escape(subject)).encode()
        catalog.Metadata = XMP(creator=lambda _: metadata)

    @property
    def _document(self) -> Any:
        return self._canvas._doc  # noqa: SLF001 (reportlab's canvas has no public way to its document)

    def _mark(self, operator: str) -> None:
        self._canvas._code.append(operator)  # noqa: SLF001 (nor to its stream)

    def _reference(self, written: Any) -> Any:
        return self._document.Reference(written)

    def _write(self, element: _Element, parent: Any) -> None:
        written = element.written = PDFDictionary({"Type": PDFName("StructElem"), "S": PDFName(element.kind)})
        written["P"] = self._reference(parent)
        for kid in element.kids:
            if isinstance(kid, _Element):
                self._write(kid, written)
        written["K"] = PDFArray([self._kid(kid, element) for kid in element.kids])
        if any(isinstance(kid, int) for kid in element.kids):
            written["Pg"] = self._reference(self._document.Pages.pages[element.page])
        if element.alt:
            written["Alt"] = PDFString(element.alt)

    def _kid(self, kid: "_Element | int | _Link", parent: _Element) -> Any:
        match kid:
            case int():
                return kid
            case _Link():
                page = self._reference(self._document.Pages.pages[parent.page])
                link = self._document.refAnnotation(kid.name)
                return PDFDictionary({"Type": PDFName("OBJR"), "Obj": link, "Pg": page})
            case _Element():
                return self._reference(kid.written)
