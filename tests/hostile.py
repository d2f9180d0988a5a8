"""What no honest client sends, without end, and the same for the same seed.

Valid texts are taken apart into tokens, and put together wrongly: a token becomes one that is of
another type, endless, huge or nested, a run of tokens is left out or comes twice. So most of it is
wrong in one place, as what gets past the first check is. At the end the bytes themselves are damaged.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import quote

from tests.datasets import JSONDataset, code, dataset, discontinued, elements, performed
from upsrs.dicom import native_xml
from upsrs.dicom.dataset import normalise

TRANSACTION_UID = "2.25.81508150815081508150815081508150"
NAME = "Hostile^Patient"
SECRETS = (TRANSACTION_UID, NAME)
"""What no error and no line of a log may repeat."""

FACTOR = float(os.environ.get("UPSRS_TESTS_FUZZ", "1"))
"""So many times as many as CI has time for."""

# fmt: off
NUMBERS = [
    "0", "-1", "1e999", "-1e-999", "9" * 400, "9" * 5000, "1" * 19, "0.1", "1e5", "-0",
    "4294967296", "-9223372036854775809", "1.7976931348623157e308",
]

TEXTS = [
    "", "*", "*a" * 30, "?" * 900, "\\u0000", "\\ud800", "\\ud83d\\ude00", "\ufffe", "x" * 65,
    "y" * 9000, "1.2.3", "..1", "20261332", "00010101", "99991231235959.999999+1400", "\\\\",
    "ä\u0301", "\u202e", "\\b\\f\\u001b[31m", "-", "%00", "'; --", "SQ", "UN", "PN", "DS", " ",
    "00081195", "FFFEE000", "00090010", "IN PROGRESS", "COMPLETED", "USER_REQUEST",
    "TransactionUID",
]

JSON_ATOMS = [
    *NUMBERS, *(f'"{text}"' for text in TEXTS), "null", "true", "[]", "{}", "[[]]", "[{}]",
    "[null]", '{"":0}', "[" * 40 + "]" * 40, '{"a":' * 40 + "1" + "}" * 40, "[1,2,3]",
    '{"a":1,"a":2}', '[{"vr":"SQ","vr":"LO"}]', '{"vr":"SQ","Value":[{}]}', '{"filter":{}}',
    '{"vr":"UN","InlineBinary":"A"}', '{"vr":"PN","Value":[{"Alphabetic":null}]}',
    '{"vr":"OB","BulkDataURI":"file:///etc/passwd"}', '{"vr":"LO","Value":["a\\\\b",null]}',
]

XML_ATOMS = [
    "", *NUMBERS, "*a" * 30, "x" * 65, "y" * 9000, "1.2.3", "20261332", "&#13;", "ä\u0301",
    "00081195", "00090010", "SQ", "UN", "PN", "&amp;", "<Value/>", "<Item/>", "<x/>", "a^b^c^",
    '<Value number="0">1</Value>', '<Value number="9999999"/>', '<Item number="1"></Item>',
    '<DicomAttribute tag="00081195" vr="UI"><Value number="1">1.2</Value></DicomAttribute>',
    '<BulkData uri="file:///etc/passwd"/>', "<InlineBinary>A</InlineBinary>", "<!-- -->",
]

QUERY_ATOMS = [
    "", "*", "%00", "%ff", "+", "%ed%a0%80", "%26", "%3D", "%2C", "%C3%A4", "a" * 300, "nan",
    "*a" * 30, "?" * 60, "9" * 30, "-1", "1e999", "inf", "%5C", "%22%22", "-", "20260101-",
    "2026-2025", "00010101-99991231", "00081195", "all", "PatientName", "TransactionUID",
    "ReferencedRequestSequence", "true", "1.2..3", "1.2", "00404005", "FFFEE000", "%0d%0aX",
    ".".join(["ReferencedRequestSequence"] * 40), "limit", "filter", "workitem", "accept",
]

WRECKS = [
    "", "]", "{", "}", "[", ",", ":", '"', "'", "/**/", "\x00", "\ufeff", "NaN", "-Infinity",
    "01",
    "[" * 3000, '{"a":' * 3000, "<", "&", "&lol;", "<!--", "]]>", "<![CDATA[<]]>", "<?x?>",
    "&#0;",
    '<!DOCTYPE a [<!ENTITY lol "lol">]>', "<Item>" * 200, "</Item>", "%", "%2", "=", "&&",
    "\ud800",
]

SEGMENTS = [
    "2.25.1", "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1", "0", "1..2", "%00",
    "%ff%fe", "%ed%a0%80", "..", "%2e%2e", "x" * 65, "9" * 70, "%C3%A4", "*", "a%5Cb",
    "%20", "AE%20TITLE", "=", ";", "'", "2.25.1%20",
]

TYPES = {
    "dataset": "application/dicom+json",
    "document": "application/dicom+xml",
    "progress": "application/json",
}
HEADERS = [
    "Content-Type", "Accept", "Content-Encoding", "Accept-Charset", "Cookie", "X-Request-ID",
    "X-Forwarded-For", "Origin", "Range", "If-Match", "Expect", "X-HTTP-Method-Override",
]
HEADER_VALUES = [
    "", "*/*", "application/dicom+json;q=2", 'multipart/related; type="', "text/html", ";",
    'multipart/related; type="application/dicom+xml"; boundary=b', "a/b;charset=utf-16",
    "\xff\xfe", "gzip", "x" * 4000, ",,,;;;===", '"', "application/dicom+json;q=nan",
]

BAD_BYTES = [
    b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x00", b"\xfe",
]
# fmt: on

WORKITEM = dataset(
    SOPInstanceUID="2.25.1",
    PatientName=NAME,
    WorklistLabel="HOSTILE",
    ScheduledStationNameCodeSequence=[code("CT1"), code("CT2")],
    CommentsOnTheScheduledProcedureStep="none",
    ExpectedCompletionDateTime="20260105100000+0100",
)
CLAIM = elements(ProcedureStepState="IN PROGRESS", TransactionUID=TRANSACTION_UID)
DATASETS = [WORKITEM, CLAIM, performed(), discontinued("none"), elements(WorklistLabel="OTHER")]

MESSAGES = [
    {"filter": {}},
    {"filter": {"worklistLabel": "HOSTILE", "procedureStepState": "SCHEDULED"}, "resume": False},
    {"filter": {"scheduledStationAETitle": "CT*", "performerAETitle": "?"}, "requestId": "r1"},
    {"filter": {"PatientName": NAME, "00400001": "CT1"}, "heartbeatSeconds": 15},
    {"filter": {"ReferencedRequestSequence.AccessionNumber": "*1*"}, "initialState": False},
    {"filter": {"TransactionUID": TRANSACTION_UID, "worklistLabel": "NOBODY"}},
    {"filter": {"worklistLabel": "HOSTILE"}, "deleteSubscription": True},
    {"reason": "USER_REQUEST", "subscriptionUID": "2.25.7", "requestId": "r2"},
    {"reason": "CONNECTION_CLOSURE"},
]
PROGRESS = [
    {"procedureStepProgress": 50, "procedureStepProgressDescription": "half"},
    {"numberOfCompletedSuboperations": 3, "numberOfFailedSuboperations": 0},
]
QUERIES = [
    f"PatientName={quote(NAME)}&includefield=all&limit=5&offset=0",
    "WorklistLabel=HOSTILE&ProcedureStepState=SCHEDULED&fuzzymatching=true",
    "00404005=20260105-20260106&ScheduledStationNameCodeSequence.CodeValue=CT1&limit=3",
    "multiplevaluematching=true&ScheduledWorkitemCodeSequence.CodeValue=1,2&emptyvaluematching=true",
    "filter=WorklistLabel=AI,InputReadinessState=READY&deletionlock=true",
    f"workitem=2.25.5&transaction-uid={TRANSACTION_UID}&requester=CT1&accept=application/dicom+json",
]


Span = tuple[int, int]
Request = tuple[str, str, dict[str, str], bytes]
"""Method, address, headers and body."""


@dataclass(frozen=True)
class Sample:
    """A valid text in tokens."""

    parts: list[str]
    values: list[Span]
    """What may become something else, and the text is still well-formed."""
    members: list[Span]
    """What may be left out, or be there twice."""


JSON_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[\[\]{}:,]|[^\s\[\]{}:,"]+')
XML_TOKEN = re.compile(r'"|</?|/?>|[^<>"/]+|/')
QUERY_TOKEN = re.compile(r"[&=,]|[^&=,]+")


def of_json(message: object) -> Sample:
    parts = JSON_TOKEN.findall(json.dumps(message))
    values: list[Span] = []
    members: list[Span] = []

    def value(start: int) -> int:
        at = start + 1
        if parts[start] in "[{":
            while parts[at] not in "]}":
                began = at
                at = value(at + 2 if parts[start] == "{" else at)
                if parts[at] == ",":
                    at += 1
                    members.append((began, at))
            at += 1
        values.append((start, at))
        return at

    value(0)
    return Sample(parts, values, members)


def of_xml(dataset: JSONDataset) -> Sample:
    parts = XML_TOKEN.findall(native_xml.render(normalise(dataset)).decode())
    values: list[Span] = []
    members: list[Span] = []
    began: list[int] = []
    for at, part in enumerate(parts):
        if part == "<" and not parts[at + 1].startswith("?"):
            began.append(at)
        elif part == "</":
            members.append((began.pop(), at + 3))
        elif part == "/>":
            members.append((began.pop(), at + 1))
        elif began and parts[at - 1] in '">' and part not in '">':
            values.append((at, at + 1))
    inner = [(start, end) for start, end in members if start > members[-1][0]]
    return Sample(parts, values + inner, inner)


def of_query(text: str) -> Sample:
    parts = QUERY_TOKEN.findall(text)
    values = [(at, at + 1) for at, part in enumerate(parts) if part not in "&=,"]
    ends = [0, *(at + 1 for at, part in enumerate(parts) if part == "&")]
    return Sample(parts, values, list(pairwise(ends)))


JSON_DATASETS = [of_json([it]) for it in DATASETS]
JSON_MESSAGES = [of_json(it) for it in MESSAGES]
JSON_PROGRESS = [of_json(it) for it in PROGRESS]
XML_DATASETS = [of_xml(it) for it in DATASETS]
QUERY_STRINGS = [of_query(it) for it in QUERIES]


class Hostile:
    """One client with bad intentions. Each of its methods makes one more text."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def message(self) -> bytes:
        """For the customer's channels."""
        return self._spoiled(JSON_MESSAGES, JSON_ATOMS)

    def dataset(self) -> bytes:
        """In DICOM JSON."""
        return self._spoiled(JSON_DATASETS, JSON_ATOMS)

    def document(self) -> bytes:
        """In the Native DICOM Model."""
        return self._spoiled(XML_DATASETS, XML_ATOMS)

    def progress(self) -> bytes:
        return self._spoiled(JSON_PROGRESS, JSON_ATOMS)

    def query(self) -> str:
        """As it stands in an address: printable ASCII, and no more than a server reads of it."""
        spoiled = self._spoiled(QUERY_STRINGS, QUERY_ATOMS).decode("latin-1")[:4_000]
        return re.sub("[^!-~]|#", "%FF", spoiled)

    def segment(self) -> str:
        """What stands between two slashes of an address."""
        return self.random.choice(SEGMENTS)

    def request(self, workitems: Sequence[str]) -> Request:
        """Any transaction of the service, about one of these workitems or about none."""
        draw = self.random
        uid = self.segment() if self.chance(0.1) else draw.choice(workitems)
        ae_title = self.segment() if self.chance(0.3) else "CT1"
        method, path, make = draw.choice(
            (
                ("GET", "/workitems", None),
                ("GET", f"/workitems/{uid}", None),
                ("POST", "/workitems", self.dataset),
                ("POST", "/workitems", self.document),
                ("POST", f"/workitems/{uid}", self.dataset),
                ("POST", f"/workitems/{uid}", self.document),
                ("PUT", f"/workitems/{uid}/state", self.dataset),
                ("PUT", f"/workitems/{uid}/state/{ae_title}", self.dataset),
                ("POST", f"/workitems/{uid}/cancelrequest", self.dataset),
                ("POST", f"/workitems/{uid}/progress", self.progress),
                ("POST", f"/workitems/{uid}/subscribers/{ae_title}", None),
                ("DELETE", f"/workitems/{uid}/subscribers/{ae_title}", None),
                ("POST", f"/workitems/{uid}/subscribers/{ae_title}/suspend", None),
                ("POST", "/tickets", self.progress),
                ("GET", f"/subscribers/{ae_title}", None),
                (draw.choice(("PATCH", "PUT", "DELETE", "HEAD", "TRACE", "X")), "/workitems", None),
            )
        )
        body = make() if make else b""
        media_type = TYPES.get(make.__name__ if make else "", "")
        headers = {"Content-Type": media_type} if media_type else {}
        if self.chance(0.1):
            headers[draw.choice(HEADERS)] = draw.choice(HEADER_VALUES)
        query = f"?{self.query()}" if self.chance(0.6) else ""
        return method, path + query, headers, body

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def _spoiled(self, samples: list[Sample], atoms: list[str]) -> bytes:
        draw = self.random
        sample = draw.choice(samples)
        parts = sample.parts.copy()
        untouched = len(parts)
        chosen = draw.choices(sample.values, k=draw.choice((1, 1, 1, 2, 3)))
        if sample.members and self.chance(0.3):
            chosen.append(draw.choice(sample.members))
        for start, end in sorted(chosen, reverse=True):
            if end > untouched:
                continue
            untouched = start
            if (start, end) not in sample.members:
                parts[start:end] = [draw.choice(atoms)]
            elif self.chance(0.5):
                parts[start:end] *= 2
            else:
                del parts[start:end]
        if self.chance(0.15):
            at = draw.randrange(len(parts))
            parts[at : at + draw.randrange(3)] = [draw.choice(WRECKS)]
        made = "".join(parts).encode("utf-8", "surrogatepass")
        return self._damaged(made) if self.chance(0.1) else made

    def _damaged(self, made: bytes) -> bytes:
        at = self.random.randrange(len(made) + 1)
        match self.random.randrange(4):
            case 0:
                return made[:at]
            case 1:
                return made[:at] + self.random.choice(BAD_BYTES) + made[at + 1 :]
            case 2:
                return made[:at] + self.random.randbytes(3) + made[at:]
            case _:
                return made[:at] + made[at : at + 30] * 100 + made[at:]


def many(count: int, make: Callable[[], bytes]) -> Iterator[tuple[int, bytes]]:
    """The next ones, each with its number: with the seed it says which one it was."""
    for number in range(int(count * FACTOR)):
        yield number, make()
