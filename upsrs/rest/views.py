"""The transactions of the worklist service (PS3.18 11.4 to 11.8), as DRF views.

Each method reads the request, calls one use case and writes the answer. What is allowed, and by
whom, is decided below; how a refusal looks is in `refusals`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, set_rollback

from upsrs import audit, errors, limits, searching, workitems
from upsrs.audit import Act
from upsrs.origin import coming_from, origin
from upsrs.rest import media, queries, refusals
from upsrs.rest.refusals import Refusals

__all__ = [
    "CancelRequestView",
    "ProgressView",
    "StateView",
    "UPSView",
    "WorkitemView",
    "WorkitemsView",
]


class UPSView(APIView):
    """What all resources share.

    The portal's DRF settings decide who logs in how, and may permit or throttle less; media types,
    negotiation and the form of a refusal are the standard's and not theirs to change.
    """

    http_method_names = ["get", "head", "post", "put", "delete"]
    renderer_classes = (media.DatasetsRenderer,)
    parser_classes = (media.Unparsed,)
    content_negotiation_class = media.Negotiation
    versioning_class = None
    """The standard's resources have one version; a portal's scheme would find none in their URLs."""

    _ignore_model_permissions = True
    """DRF's own name: DjangoModelPermissions, a usual default of portals, fails on a view without
    a queryset. The use cases ask the same permissions of the policy."""

    refused_as: ClassVar[Mapping[str, Refusals]] = {}
    """How the transaction behind each method refuses."""

    acts: ClassVar[Mapping[str, Act]] = {}
    """What was refused, for the audit, where a method is refused."""

    service = ""
    """The service's base URL, as the client sees it; known once the client may speak."""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with coming_from("rest", request.META) as here:
            response: Any = super().dispatch(request, *args, **kwargs)
        response.headers.setdefault("X-Request-ID", here.correlation_id)
        if request.method == "HEAD":
            if getattr(response, "is_rendered", True):
                _leave_out_body(response)
            else:
                response.add_post_render_callback(_leave_out_body)
        answered: HttpResponseBase = response
        return answered

    def get_permissions(self) -> list[Any]:
        """A login in any case; then what the portal asks of everybody."""
        return [IsAuthenticated(), *super().get_permissions()]

    def get_authenticate_header(self, request: Request) -> str:
        """The first challenge that there is; DRF asks the first class only, and a session has none.

        A 401 shall have one (PS3.18 8.5); without any, DRF makes it 403.
        """
        challenges = (it.authenticate_header(request) for it in self.get_authenticators())
        return next(filter(None, challenges), "")

    def perform_authentication(self, request: Request) -> None:
        """As DRF does; who fails too often has to wait."""
        credentials = limits.credentials_of(request.META)
        with limits.FAILED_LOGINS.watched(origin().address, credentials):
            super().perform_authentication(request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        match = request.resolver_match
        assert match is not None, "a view was called without its address"
        worklist = reverse(f"{match.namespace}:workitems")
        self.service = request.build_absolute_uri(worklist).removesuffix("/workitems")

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Workitems are about patients: no cache keeps them, nor what is said about them."""
        return {**super().default_response_headers, "Cache-Control": "no-store"}

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponse]:
        """Ours: EXCEPTION_HANDLER belongs to the portal, and these answers to the standard."""
        return self.refuse

    def refuse(self, error: Exception, context: dict[str, Any]) -> HttpResponse:
        """A refused request leaves nothing behind, under ATOMIC_REQUESTS too."""
        set_rollback()
        self._audit(error)
        return refusals.answer(
            error,
            refusals=self.refused_as.get(self.request.method or "", refusals.GENERAL),
            service=self.service,
            method=self.request.method or "",
            path=self.request.path,
        )

    def _audit(self, error: Exception) -> None:
        """A refusal leaves its trace, whatever else is rolled back."""
        if isinstance(error, NotAuthenticated | AuthenticationFailed):
            audit.refused(Act.LOG_IN, None, error)
            return
        if isinstance(error, PermissionDenied):  # by what the portal asks of everybody
            error = errors.NotAuthorized()
        if isinstance(error, errors.UPSError):
            audit.refused(
                self.acts.get(self.request.method or "", Act.OTHER),
                self.request.user,
                error,
                workitem_uid=self.kwargs.get("workitem_uid", ""),
                ae_title=self.kwargs.get("ae_title", ""),
            )

    def location(self, workitem_uid: str) -> str:
        return f"{self.service}/workitems/{workitem_uid}"

    def warning(self, *texts: str) -> dict[str, str]:
        told = [refusals.warning(self.service, text) for text in texts if text]
        return {"Warning": ", ".join(told)} if told else {}


def _leave_out_body(response: HttpResponse) -> None:
    """The server's business, but daphne leaves out no more than the first 64 KiB.

    What came behind them, the client would take for the answer to its next request.
    """
    response.headers["Content-Length"] = str(len(response.content))
    response.content = b""


class WorkitemsView(UPSView):
    """All workitems of the service."""

    refused_as = {"GET": refusals.SEARCH, "POST": refusals.CREATE}
    acts = {"GET": Act.SEARCH, "POST": Act.CREATE}

    def get(self, request: Request) -> Response:
        """Search (PS3.18 11.9)."""
        media_type = media.negotiate(request)
        asked, fuzzy = queries.search(request.query_params, request.META.get("QUERY_STRING", ""))
        found = searching.search(request.user, asked)
        texts = [refusals.W15] if fuzzy else []
        if found.remaining:
            texts.append(refusals.W18.format(remaining=found.remaining))
        headers = {"Vary": "Accept", **self.warning(*texts)}
        if not found.datasets:
            return Response(status=204, headers=headers)
        return Response(found.datasets, headers=headers, content_type=media_type)

    def post(self, request: Request) -> Response:
        """Create Workitem (PS3.18 11.4)."""
        workitem_uid = queries.workitem_uid(request.query_params)
        dataset = media.read_dataset(request)
        created = workitems.create(request.user, dataset, workitem_uid=workitem_uid)
        location = self.location(created.workitem_uid)
        headers = {
            "Location": location,
            "Content-Location": location,
            **self.warning(refusals.W1 if created.modified else ""),
        }
        return Response(status=201, headers=headers)


class WorkitemView(UPSView):
    """One workitem."""

    refused_as = {
        "GET": refusals.RETRIEVE,
        "HEAD": refusals.RETRIEVE,
        "POST": refusals.UPDATE,
    }
    acts = {"GET": Act.READ, "HEAD": Act.READ, "POST": Act.UPDATE}

    def get(self, request: Request, workitem_uid: str) -> Response:
        """Retrieve Workitem (PS3.18 11.5)."""
        media_type = media.negotiate(request)
        dataset = workitems.retrieve(request.user, queries.target(workitem_uid))
        headers = {"Content-Location": self.location(workitem_uid), "Vary": "Accept"}
        return Response([dataset], headers=headers, content_type=media_type)

    def post(self, request: Request, workitem_uid: str) -> Response:
        """Update Workitem (PS3.18 11.6)."""
        workitem_uid = queries.target(workitem_uid)
        dataset = media.read_dataset(request)
        transaction_uid = queries.transaction_uid(request.query_params)
        workitems.update(request.user, workitem_uid, dataset, transaction_uid=transaction_uid)
        return Response()


class StateView(UPSView):
    """The state of a workitem; the requester in the path is an older way to name it."""

    refused_as = {"PUT": refusals.CHANGE_STATE}
    acts = {"PUT": Act.CHANGE_STATE}

    def put(self, request: Request, workitem_uid: str, requester: str | None = None) -> Response:
        """Change Workitem State (PS3.18 11.7)."""
        workitem_uid = queries.target(workitem_uid)
        ae_title = queries.requester(request.query_params, requester)
        change = queries.state_change(media.read_dataset(request))
        warning = workitems.change_state(
            request.user,
            workitem_uid,
            change.state,
            transaction_uid=change.transaction_uid,
            requester=ae_title,
        )
        return Response(headers=self.warning(refusals.STATE_WARNINGS[warning] if warning else ""))


class CancelRequestView(UPSView):
    """Where those who do not own a workitem ask for its end."""

    refused_as = {"POST": refusals.REQUEST_CANCEL}
    acts = {"POST": Act.REQUEST_CANCEL}

    def post(self, request: Request, workitem_uid: str, requester: str | None = None) -> Response:
        """Request Cancellation (PS3.18 11.8): accepted is not yet canceled, hence 202."""
        workitem_uid = queries.target(workitem_uid)
        ae_title = queries.requester(request.query_params, requester)
        dataset = media.read_optional_dataset(request)
        warning = workitems.request_cancel(request.user, workitem_uid, dataset, requester=ae_title)
        headers = self.warning(refusals.STATE_WARNINGS[warning] if warning else "")
        return Response(status=202, headers=headers)


class ProgressView(UPSView):
    """Our extension: the progress of a workitem, without touching tags."""

    refused_as = {"POST": refusals.PROGRESS}
    acts = {"POST": Act.UPDATE}

    def post(self, request: Request, workitem_uid: str) -> Response:
        """Report Progress: an Update of Progress Information Sequence, in the contract's words."""
        workitem_uid = queries.target(workitem_uid)
        transaction_uid = queries.transaction_uid(request.query_params)
        progress = queries.progress(media.read_json(request))
        workitems.report_progress(
            request.user, workitem_uid, transaction_uid=transaction_uid, **progress
        )
        return Response()
