"""What travels in a body: which media types, how much of it, and how it is read and written.

Datasets come and go as DICOM JSON, as one Native DICOM Model document, or as several in a multipart
message. Knows HTTP, no use case. A body is read here and nowhere else, with the limit in
hand: Django's and DRF's own ways of reading it either have no limit or take a body without
Content-Length for none.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from email import policy
from email.parser import BytesParser
from typing import Any, NoReturn

from django.http import HttpRequest
from rest_framework.exceptions import APIException, NotAcceptable, ParseError, UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from upsrs.conf import conf, dataset_limits
from upsrs.dicom import dataset as dicom_json, native_xml
from upsrs.dicom.dataset import JSONDataset

__all__ = [
    "DICOM_JSON",
    "DICOM_XML",
    "JSON",
    "MULTIPART_XML",
    "BodyTooLarge",
    "DatasetsRenderer",
    "LengthRequired",
    "Negotiation",
    "Unparsed",
    "UpgradeRequired",
    "negotiate",
    "read_dataset",
    "read_json",
    "read_optional_dataset",
]

DICOM_JSON = "application/dicom+json"
JSON = "application/json"
"""What the editions up to 2015a called the same thing."""
DICOM_XML = "application/dicom+xml"
MULTIPART = "multipart/related"
MULTIPART_XML = f'{MULTIPART}; type="{DICOM_XML}"'

DATASET_TYPES = (DICOM_JSON, JSON, MULTIPART_XML, DICOM_XML)
"""PS3.18 11.1.3, the default first."""

JSON_TYPES = (JSON, DICOM_JSON)


class BodyTooLarge(APIException):
    status_code = 413
    default_detail = "The body is larger than this server accepts."


class UpgradeRequired(APIException):
    status_code = 426
    default_detail = "Events come over WebSocket: open this address with ws: or wss:."


class LengthRequired(APIException):
    status_code = 411
    default_detail = "This server needs a Content-Length: a chunked body does not reach it."


class DatasetsRenderer(BaseRenderer):
    """A list of datasets, in the type that the view has negotiated; always UTF-8."""

    media_type = DICOM_JSON
    format = "dicom+json"
    charset = None

    def render(
        self,
        data: Sequence[JSONDataset] | None,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        response = (renderer_context or {}).get("response")
        chosen = getattr(response, "content_type", None) or DICOM_JSON
        if chosen == DICOM_XML and len(data) == 1:
            return native_xml.render(data[0])
        if chosen in (DICOM_XML, MULTIPART_XML):
            assert response is not None, "the type was chosen for a response"
            boundary = uuid.uuid4().hex
            response["Content-Type"] = f"{MULTIPART_XML}; boundary={boundary}"
            return _multipart(data, boundary)
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()


def _multipart(datasets: Iterable[JSONDataset], boundary: str) -> bytes:
    """One document a part (PS3.18 11.1.3)."""
    parts = []
    for dataset in datasets:
        document = native_xml.render(dataset)
        head = f"--{boundary}\r\nContent-Type: {DICOM_XML}\r\nContent-Length: {len(document)}"
        parts += [head.encode(), b"\r\n\r\n", document, b"\r\n"]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


class Unparsed(BaseParser):
    """Leaves the body alone.

    DRF parses as soon as anything looks at ``request.POST``, and the CSRF check of a session login
    does: before we know who asks, and without a limit.
    """

    media_type = "*/*"

    def parse(
        self,
        stream: object,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return {}


class Negotiation(BaseContentNegotiation):
    """Never refuses: DRF negotiates before it authenticates, and 401 comes before 406.

    `negotiate` does it, where an answer has a body.
    """

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


def negotiate(request: Request, offers: Sequence[str] = DATASET_TYPES) -> str:
    """Which of the offers to answer in (PS3.18 8.7.8).

    The ``accept`` parameter is asked first, and must be covered by the header. A missing header
    means ``*/*``: stricter servers answer 406, but most clients leave it out.
    """
    header = _qualities(request.headers.get("Accept") or "*/*")
    # An unescaped plus sign arrives as a space.
    asked = ",".join(request.query_params.getlist("accept"))
    parameter = _qualities(asked.replace("dicom ", "dicom+"))
    acceptable = [offer for offer in offers if _quality(offer, header) > 0]
    if not acceptable:
        raise NotAcceptable(f"This can be had as {' or '.join(offers)}.")
    return max(acceptable, key=lambda it: (_quality(it, parameter), _quality(it, header)))


def _qualities(accept: str) -> dict[str, float]:
    """Media ranges with their q, by range; of a multipart, the type of its parts belongs to it.

    An entry that is not valid is ignored (PS3.18 8.7.5).
    """
    qualities: dict[str, float] = {}
    for entry in _parts(accept, ","):
        media_range, parameters = _media_type(entry)
        given = dict(parameters)
        try:
            quality = float(given.get("q", "1"))
        except ValueError:
            continue
        if 0 <= quality <= 1:
            qualities[media_range] = max(quality, qualities.get(media_range, 0.0))
    return qualities


def _parts(header: str, separator: str) -> list[str]:
    """What stands between separators; one within a quoted string is none (RFC 9110 5.6)."""
    found = re.findall(rf'(?:[^{separator}"]|"(?:\\.|[^"\\])*"?)+', header)
    return [part.strip() for part in found]


def _media_type(text: str) -> tuple[str, list[tuple[str, str]]]:
    """A type or a range in lower case, of a multipart with the type of its parts; parameters."""
    media_type, *rest = _parts(text.lower(), ";") or [""]
    parameters = [
        (name.strip(), re.sub(r"\\(.)", r"\1", value.strip(' "')))
        for name, _, value in (it.partition("=") for it in rest)
    ]
    parts = [value for name, value in parameters if name == "type"]
    if media_type == MULTIPART and parts:
        media_type = f'{MULTIPART}; type="{parts[0]}"'
    return media_type, parameters


def _quality(offer: str, qualities: Mapping[str, float]) -> float:
    """The most specific range that covers ``offer`` decides, so that ``q=0`` can exclude it."""
    main = offer.partition("/")[0]
    for media_range in (offer, offer.partition(";")[0], f"{main}/*", "*/*"):
        if media_range in qualities:
            return qualities[media_range]
    return 0.0


def read_dataset(request: HttpRequest | Request) -> JSONDataset:
    """The one dataset that a request carries."""
    body = _body(request, DATASET_TYPES)
    return _dataset(request, body)


def read_optional_dataset(request: HttpRequest | Request) -> JSONDataset | None:
    """The dataset of a request that may come without: then its Content-Type means nothing."""
    body = _read(request)
    if not body:
        return None
    _check_content_type(request, DATASET_TYPES)
    return _dataset(request, body)


def read_json(request: HttpRequest | Request) -> dict[str, Any]:
    """The small JSON object of our own extensions."""
    body = _body(request, JSON_TYPES)
    try:
        data = json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_constant
        )
    except (ValueError, RecursionError):
        # Not the decoder's own words: they are harmless today, but they are not ours.
        raise ParseError("The body is not valid JSON in UTF-8.") from None
    if not isinstance(data, dict):
        raise ParseError("The body must be a JSON object.")
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("duplicate member")
    return members


def _constant(name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _dataset(request: HttpRequest | Request, body: bytes) -> JSONDataset:
    content_type, _ = _content_type(request)
    if content_type == MULTIPART_XML:
        body = _only_part(request.META["CONTENT_TYPE"], body)
    if content_type in (MULTIPART_XML, DICOM_XML):
        return native_xml.parse(body, dataset_limits())
    return dicom_json.parse(body, dataset_limits())


def _only_part(content_type: str, body: bytes) -> bytes:
    """The document in a multipart message that has one part, as requests have (PS3.18 11.1.3)."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    parts = list(message.iter_parts()) if message.is_multipart() else []
    if len(parts) != 1 or parts[0].get_content_type() != DICOM_XML:
        raise ParseError(f"The body must have exactly one part, and that of {DICOM_XML}.")
    document = parts[0].get_payload(decode=True)
    assert isinstance(document, bytes), "a part that is no message itself has bytes"
    return document


def _body(request: HttpRequest | Request, supported: tuple[str, ...]) -> bytes:
    _check_content_type(request, supported)
    body = _read(request)
    if not body:
        raise ParseError("This request needs a body.")
    return body


def _check_content_type(request: HttpRequest | Request, supported: tuple[str, ...]) -> None:
    """415 for what we cannot read, and it says what we can (PS3.18 8.5)."""
    content_type, charset = _content_type(request)
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if content_type not in supported or charset - {"utf-8", "utf8"} or coding != "identity":
        raise UnsupportedMediaType(
            content_type,
            f"The body must be {' or '.join(supported)}, in UTF-8, without Content-Encoding.",
        )


def _content_type(request: HttpRequest | Request) -> tuple[str, set[str]]:
    """The type of the body, of a multipart with that of its parts; and its charset, if told."""
    content_type, parameters = _media_type(request.META.get("CONTENT_TYPE", ""))
    return content_type, {value for name, value in parameters if name == "charset"}


def _read(request: HttpRequest | Request) -> bytes:
    """The whole body, if it is within the limit; never more of it than that.

    ``request.read`` and not ``request.body``: the latter applies DATA_UPLOAD_MAX_MEMORY_SIZE, which
    the portal chose for its forms.
    """
    limit = conf.MAX_BODY_BYTES
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdecimal() and (len(length) > 18 or int(length) > limit):
        raise BodyTooLarge
    body: bytes = request.read(limit + 1)
    if len(body) > limit:
        raise BodyTooLarge
    chunked = not length and "Transfer-Encoding" in request.headers
    if chunked and not body and "wsgi.input" in request.META:
        # Under WSGI Django sees no chunked body at all: say so, rather than lose it.
        raise LengthRequired
    return body
