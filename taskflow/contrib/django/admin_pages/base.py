"""What the pages have in common: who may see them, what they say when the broker is away, and the question before an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper, wraps
from typing import Any, ClassVar

import django
from django.contrib import messages
from django.contrib.admin import ModelAdmin, helpers
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from taskflow import Inspector
from taskflow.errors import BrokerError
from taskflow.inspector import printable

from .. import get_app
from ..admin_models import Queue, Stored, Task, Worker
from .orders import Names, Order, Report, carry_out
from .places import parts_of, place_of

View = Callable[..., HttpResponse]

MODELS: dict[str, type[Stored]] = {"queue": Queue, "task": Task, "worker": Worker}


def answers(view: View) -> View:
    """A view that says so when the broker is away, instead of failing."""

    @wraps(view)
    def answering(self: PageAdmin, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if get_app().eager:
            return self.say_why(
                request,
                "There are no queues",
                'The app runs each task where it is called (TASKFLOW["EAGER"]), so nothing waits anywhere.',
                200,
            )
        try:
            return view(self, request, *args, **kwargs)
        except BrokerError as error:
            return self.say_why(request, "The broker does not answer", printable(str(error)), 503)

    return answering


class PageAdmin(ModelAdmin):  # type: ignore[misc]  # Django has no types
    """A part of the admin that shows what is in the broker, and no rows of a table.

    Attributes:
        orders: what may be done from its pages.
        noun: what they show one of.
    """

    orders: Sequence[Order] = ()
    noun = ""

    class Media:
        css: ClassVar = {"all": ["admin/taskflow/pages.css"]}

    # --- Django's part -----------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        """A list, a page for each, and its history; there is nothing to add, and deleting is an order."""

        def wrapped(view: View) -> View:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return self.admin_site.admin_view(view)(*args, **kwargs)

            wrapper.model_admin = self  # type: ignore[attr-defined]  # the admin looks for it
            return update_wrapper(wrapper, view)

        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("", wrapped(self.changelist_view), name=f"{name}_changelist"),
            path("<path:object_id>/history/", wrapped(self.history_view), name=f"{name}_history"),
            path("<path:object_id>/change/", wrapped(self.change_view), name=f"{name}_change"),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody may: tasks are enqueued by the project."""
        return False

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Stored:
        """What a place in the URL stands for; its history is shown whether it is still there or not."""
        found: Stored = self.model(id=object_id)
        return found

    @answers
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list, and the orders that its forms, and those of the single pages, give."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self.obey(request)
        return self.show_list(request, extra_context or {})

    @answers
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of one."""
        place = unquote(object_id)
        if not self.has_view_or_change_permission(request, self.model(id=place)):
            raise PermissionDenied
        return self.show_one(request, place, extra_context or {})

    # --- what each part has of its own ----------------------------------------------------------------

    def show_list(self, request: HttpRequest, extra: dict[str, Any]) -> HttpResponse:
        """The list.

        Args:
            request: what was asked.
            extra: more of the context.
        """
        raise NotImplementedError

    def show_one(self, request: HttpRequest, place: str, extra: dict[str, Any]) -> HttpResponse:
        """The page of one.

        Args:
            request: what was asked.
            place: where it is.
            extra: more of the context.
        """
        raise NotImplementedError

    # --- orders --------------------------------------------------------------------------------------

    def allowed(self, request: HttpRequest) -> list[Order]:
        """The orders that a user may give.

        Args:
            request: whose.
        """
        return [order for order in self.orders if self.may(request, order.permission)]

    def may(self, request: HttpRequest, permission: str) -> bool:
        """Whether a user has a permission.

        Args:
            request: whose.
            permission: "view", "change", "delete", or one of the part's own.
        """
        return bool(getattr(self, f"has_{permission}_permission")(request))

    def action_form_for(self, request: HttpRequest, orders: Sequence[Order]) -> Any:
        """The admin's form for actions; None: there are none.

        Args:
            request: whose.
            orders: what may be chosen.
        """
        if not orders:
            return None
        form = self.action_form(auto_id=None)
        form.fields["action"].choices = [("", "---------"), *((one.name, one.label) for one in orders)]
        return form

    def obey(self, request: HttpRequest) -> HttpResponse:
        """Ask whether it is meant; then do it, and say what became of it."""
        order = next((one for one in self.orders if one.name == request.POST.get("action")), None)
        chosen = self.chosen(request)
        back = request.get_full_path()
        if order is None or not chosen:
            text = "Choose what is to be done." if order is None else f"Choose at least one {self.noun}."
            self.message_user(request, f"{text} Nothing was changed.", messages.WARNING)
            return HttpResponseRedirect(back)
        if not self.may(request, order.permission):
            raise PermissionDenied
        from_page = request.POST.get("from") == "page" and len(chosen) == 1
        page = self.url("change", *chosen[0])
        if request.POST.get("confirmed") != "yes":
            return self.ask(request, order, len(chosen), chosen, back=page if from_page else back)
        report, done = carry_out(self.inspector, order, chosen)
        for names in done:
            self.note(request, order, self.model(id=place_of(*names)))
        self.tell(request, report)
        return HttpResponseRedirect(page if from_page and not (done and order.removes) else back)

    def chosen(self, request: HttpRequest) -> list[Names]:
        """What the boxes are ticked of, each once."""
        places = dict.fromkeys(request.POST.getlist(helpers.ACTION_CHECKBOX_NAME))
        return [names for place in places if (names := self.names(place))]

    def names(self, place: str) -> Names | None:
        """What is at a place; None: it is no place of such a thing.

        Args:
            place: as `place_of` makes it.
        """
        names = parts_of(place)
        return names if len(names) == 1 and names[0] else None

    def ask(
        self,
        request: HttpRequest,
        order: Order,
        count: int,
        chosen: Sequence[Names],
        *,
        back: str,
        **more: Any,
    ) -> HttpResponse:
        """The question before an order.

        Args:
            request: whose.
            order: what is to be done.
            count: to how many.
            chosen: to which, if they were chosen one by one.
            back: where to go otherwise.
            **more: of the context.
        """
        nouns = self.noun if count == 1 else f"{self.noun}s"
        context = {
            "title": f"{order.label}: {count:,} {nouns}?",
            "order": order,
            "count": count,
            "nouns": nouns,
            "items": [(place_of(*names), " / ".join(names)) for names in chosen],
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "from_page": request.POST.get("from") == "page",
            "back": back,
            **more,
        }
        return self.page(request, ["admin/taskflow/confirmation.html"], context)

    def tell(self, request: HttpRequest, report: Report) -> None:
        """Say what became of an order.

        Args:
            request: whose.
            report: it.
        """
        for level, text in report.lines(self.noun):
            self.message_user(request, text, level)

    def note(self, request: HttpRequest, order: Order, what: Stored, text: str = "") -> None:
        """Put an order that was carried out into the admin's log.

        Args:
            request: who gave it.
            order: what.
            what: to what it was done.
            text: what is said of it.
        """
        if order.removes:
            self.log_deletions(request, [what])
        else:
            self.log_change(request, what, text or f"{order.label}.")

    # --- pages ---------------------------------------------------------------------------------------

    @property
    def inspector(self) -> Inspector:
        """Who reads, and carries out orders."""
        return get_app().inspector

    def url(self, page: str, *names: str) -> str:
        """The URL of a page of this part.

        Args:
            page: "changelist", "change" or "history".
            *names: of what; see `place_of`.
        """
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"
        args = [quote(place_of(*names))] if names else []
        return str(reverse(name, args=args, current_app=self.admin_site.name))

    def link(self, request: HttpRequest, model: str, *names: str) -> str:
        """The URL of a page of another part; empty where the site has none, or the user may not see it.

        Args:
            request: whose.
            model: "queue", "task" or "worker".
            *names: of what; none: of the list.
        """
        if not self.admin_site.is_registered(MODELS[model]):
            return ""
        part = self.admin_site.get_model_admin(MODELS[model])
        if not isinstance(part, PageAdmin) or not part.has_view_or_change_permission(request):
            return ""
        return part.url("change" if names else "changelist", *names)

    def page(
        self, request: HttpRequest, templates: list[str], context: dict[str, Any], status: int = 200
    ) -> HttpResponse:
        """A page in the admin's frame.

        Args:
            request: what was asked.
            templates: the first that there is.
            context: of the template.
            status: of the answer.
        """
        request.current_app = self.admin_site.name
        frame = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "list_url": self.url("changelist"),
            "crumbs_are_listed": django.VERSION >= (6, 1),
            "has_view_permission": True,
        }
        return TemplateResponse(request, templates, {**frame, **context}, status=status)

    def say_why(self, request: HttpRequest, title: str, why: str, status: int) -> HttpResponse:
        """A page that says why there is nothing to be seen.

        Args:
            request: what was asked.
            title: in short.
            why: at length.
            status: of the answer.
        """
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return self.page(
            request,
            ["admin/taskflow/away.html"],
            {"title": title, "why": why, "is_away": status != 200},
            status,
        )

    def gone(self, request: HttpRequest, text: str) -> HttpResponse:
        """Back to the list, from the page of what is not there any more.

        Args:
            request: what was asked.
            text: what is said.
        """
        self.message_user(request, printable(text), messages.WARNING)
        return HttpResponseRedirect(self.url("changelist"))


class Listed:
    """What the admin's template of a list asks of its changelist.

    Args:
        admin: the part.
        count: how many rows there are.
    """

    formset = None
    date_hierarchy = None
    is_popup = False
    is_facets_optional = False
    add_facets = False
    show_full_result_count = False
    show_admin_actions = True
    has_filters = False
    has_active_filters = False
    clear_all_filters_qs = "?"
    filter_specs: Sequence[Any] = ()
    search_fields: Sequence[str] = ()
    search_help_text = ""
    query = ""

    def __init__(self, admin: PageAdmin, count: int) -> None:
        self.opts = admin.opts
        self.model_admin = admin
        self.result_count = self.full_result_count = count
        self.params: dict[str, str] = {}
