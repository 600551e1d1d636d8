"""Resolves { env = ... }, { file = ... } and { keyring = ... } to secrets."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath

from digest.errors import nearest
from digest.model import Secret
from digest.settings.lines import Path
from digest.settings.mistakes import KEPT_IN, Mistakes, clip, file_problem, shown

_PLACES = {
    "env": "the name of an environment variable",
    "file": "the path of a file",
    "keyring": '"service/user"',
}
_LARGEST = 64 * 1024

Keyring = Callable[[str, str], str | None]


def system_keyring(service: str, user: str) -> str | None:
    """Ask the operating system's keyring.

    Raises:
        LookupError: there is none, or it cannot be opened; the message says so.
    """
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError as error:
        raise LookupError("the package for it is missing; install sla-digest[keyring]") from error
    try:
        return keyring.get_password(service, user)
    except (KeyringError, RuntimeError) as error:
        raise LookupError(f"the keyring cannot be opened ({clip(str(error))})") from error


@dataclass(frozen=True)
class Vault:
    """The places where secrets are kept; relative paths stand beside the config file."""

    environment: Mapping[str, str]
    folder: FilePath
    keyring: Keyring = system_keyring

    def resolve(self, value: object, at: Path, mistakes: Mistakes) -> object:
        """Return the document with every reference replaced by its secret.

        A reference that leads nowhere is noted as a mistake and replaced by an empty secret, so that its
        setting is not reported a second time.
        """
        if isinstance(value, list):
            return [self.resolve(item, (*at, n), mistakes) for n, item in enumerate(value)]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1 and (kind := next(iter(value))) in KEPT_IN:
            place = value[kind]
            if not isinstance(place, Mapping):  # [channels.file] is a table called file
                return self._secret(kind, place, at, mistakes)
        return {key: self.resolve(inner, (*at, key), mistakes) for key, inner in value.items()}

    def _secret(self, kind: str, place: object, at: Path, mistakes: Mistakes) -> Secret:
        if not isinstance(place, str) or not place.strip():
            mistakes.add((*at, kind), f"found {shown(place)}; allowed: {_PLACES[kind]}")
            return Secret("")
        try:
            found = {"env": self._variable, "file": self._file, "keyring": self._from_keyring}[
                kind
            ](place, at, mistakes)
        except LookupError as error:
            mistakes.add((*at, kind), str(error.args[0]))
            mistakes.unresolved.add(at)
            return Secret("")
        mistakes.hide(found)
        return Secret(found)

    def _variable(self, name: str, at: Path, mistakes: Mistakes) -> str:
        del at, mistakes
        value = self.environment.get(name)
        if value is None:
            hint = nearest(clip(name), list(self.environment)) or ";"
            raise LookupError(
                f"the environment variable {clip(name)!r} is not set{hint} "
                "set it where the digest runs"
            )
        if not value.strip():
            raise LookupError(f"the environment variable {clip(name)!r} is empty; set it")
        return value

    def _file(self, name: str, at: Path, mistakes: Mistakes) -> str:
        try:
            path = self.folder / FilePath(name).expanduser()
        except RuntimeError as error:
            raise LookupError(
                f"the secret file {clip(name)!r} names a home folder that does not exist"
            ) from error
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
                raise LookupError(f"the secret file {path} is not a small text file")
            value = path.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            remedy = (
                f"; write the secret into it, then chmod 600 {path}" if not path.exists() else ""
            )
            raise LookupError(f"the secret file {file_problem(path, error)}{remedy}") from error
        except (UnicodeDecodeError, RuntimeError) as error:
            raise LookupError(
                f"the secret file {path} is not UTF-8 text; save it with the encoding UTF-8"
            ) from error
        if not value.strip():
            raise LookupError(f"the secret file {path} is empty; write the secret into it")
        if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
            mistakes.warn(at, f"the secret file {path} can be read by others; chmod 600 {path}")
        return value

    def _from_keyring(self, name: str, at: Path, mistakes: Mistakes) -> str:
        del at, mistakes
        service, slash, user = name.partition("/")
        if not (service and slash and user):
            raise LookupError(f'found {shown(name)}; allowed: "service/user"')
        value = self.keyring(service, user)
        if not value:
            raise LookupError(
                f"the keyring has no entry for service {clip(service)!r}, user {clip(user)!r}; "
                f"store it with: keyring set {clip(service)} {clip(user)}"
            )
        return value
