"""One page: who asked, what they look at, and the template that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digest.preview.address import View, path_of
from digest.render.locales import Locale, languages, locale_for
from digest.resources import templates_folder

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.responses import Response

    from digest.errors import DigestError
    from digest.preview.desk import Desk
    from digest.preview.trial import Allowance
    from digest.preview.trouble import Trouble

DOMAIN = "preview"


@dataclass(frozen=True, slots=True)
class Services:
    """What pages have beside the desk.

    Attributes:
        version: counts the changes of files that a page may show.
        token: belongs into every form that acts.
        allowance: how many tests may still be sent.
        files: returns the files whose lines a page may show.
        cookie: name of the cookie that lets a browser in.
    """

    version: Callable[[], int]
    token: str
    allowance: Allowance
    files: Callable[[], Iterable[Path]] = tuple
    cookie: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, read.

    Attributes:
        parts: what the path names, such as "digest".
        query: the query string's pairs; `form` those of a POST.
        words: the language of the pages.
        version: of the files behind them when the request came, so that a page is never taken for newer
            than it is.
    """

    desk: Desk
    services: Services
    view: View
    parts: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    words: Locale
    version: int
    form: Sequence[tuple[str, str]] = ()

    @property
    def digest(self) -> str:
        """Id of the digest that the path names."""
        return self.parts["digest"]

    def href(self, *parts: str, digest: str | None = None, **changes: Any) -> str:  # noqa: ANN401 - fields of View
        """Return the address of a page of a digest, with the view changed as said."""
        return path_of(digest or self.digest, *parts) + self.view.query(**changes)

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        trouble: DigestError | None = None,
        **values: Any,  # noqa: ANN401 - the template knows them
    ) -> Response:
        """Fill a template; what is wrong with the files behind it, or with the page itself, is told above."""
        from starlette.responses import HTMLResponse

        from digest.preview.pages import tabs

        digest = self.parts.get("digest")
        if digest not in self.desk.digests:
            digest = None
        filled = environment().get_template(template)
        html = filled.render(
            {
                "asked": self,
                "view": self.view,
                "digest": digest,
                "digests": self.desk.digests,
                "languages": languages(),
                "words": self.words,
                "_": self.words.gettext,
                "gettext": self.words.gettext,
                "ngettext": self.words.ngettext,
                "troubles": self._troubles(trouble),
                "version": self.version,
                "token": self.services.token,
                "tabs_of_pages": tabs,
                **values,
            }
        )
        return HTMLResponse(html, status_code=status)

    def _troubles(self, trouble: DigestError | None) -> tuple[Trouble, ...]:
        from digest.preview.trouble import troubles_of

        errors = [*self.desk.broken_of(self.parts.get("digest")), *([trouble] if trouble else ())]
        return troubles_of(errors, self.services.files()) if errors else ()


Answer = Callable[[Asked], "Response"]


@dataclass(frozen=True, slots=True)
class Page:
    """A path, and who answers it.

    Attributes:
        path: as Starlette writes it, with {digest} where a digest is named.
        acts: answers POST instead of GET.
        keys: what the query string may hold beside the view; None for whatever it holds.
    """

    path: str
    answer: Answer
    acts: bool = False
    keys: tuple[str, ...] | None = None


@cache
def environment() -> Environment:
    """Return the environment of the pages' templates: everything escaped, nothing undefined."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(templates_folder() / "preview"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.policies["json.dumps_kwargs"] = {"sort_keys": False, "ensure_ascii": False}
    return found


def forget_words() -> None:
    """Read translations anew from now on."""
    locale_for.cache_clear()


def words_of(tag: str) -> Locale:
    """Return how the pages speak in a language."""
    return locale_for(tag, DOMAIN)
