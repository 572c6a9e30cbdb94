"""Signatures of what a run holds: the user's own ssh key signs the digests, and so all that they are of.

`digests.json.sig` beside `digests.json` is a signature as `ssh-keygen -Y sign` makes it, in the namespace `winnow`. The
digests name every file of the folder; those of checkpoints are in their manifests, which are named. A signature shows
that whoever holds the key signed these bytes. It does not show who that is: name a key that you know.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from winnow.engine.runs.digests import NOTED, SIGNATURE, changed_files
from winnow.engine.runs.files import replace
from winnow.engine.runs.reading import LARGEST_JSON

NAMESPACE = "winnow"
TOOL = "ssh-keygen"
LONGEST = 1 << 16  # bytes of a signature or a public key; ours have about 300
PATIENCE = 120.0  # s: a passphrase may be asked for
FINGERPRINT = re.compile(r"key (\S+:\S+)")


class SigningError(ValueError):
    """What cannot be signed, and why."""


@dataclass(frozen=True)
class SignatureCheck:
    """Whether a signature is one of the digests beside it, and by whom, or what is wrong."""

    whole: bool
    detail: str


def sign(folder: Path, key: Path) -> None:
    """Sign the digests of a folder of work whose work has ended.

    Raises:
        SigningError: it has no digests, one does not agree, ssh-keygen is missing, or the key does not sign.

    """
    if not (folder / NOTED).is_file():
        raise SigningError(f"`run` must have ended to be signed, got {folder.name}, which has no {NOTED}.")
    if wrong := changed_files(folder):
        raise SigningError(f"`run` must be whole to be signed, got {folder.name}: {next(iter(wrong))} has changed.")
    if not key.is_file():
        raise SigningError(f"`key` must be the file of an ssh key, got {key}.")
    done = _called(["sign", "-f", str(key)], (folder / NOTED).read_bytes())
    if done.returncode or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE"):
        raise SigningError(f"`key` must sign, got {key}: {_said(done)}")
    replace(folder / SIGNATURE, done.stdout)


def checked_signature(folder: Path, known: Path | None = None) -> SignatureCheck | None:
    """Return what the signature of a folder of work is worth; None where there is none, and none is asked for.

    `known` is a public key: with it, only a signature by this key is whole.
    """
    file = folder / SIGNATURE
    if not file.is_file():
        return None if known is None else SignatureCheck(False, "there is no signature")
    if file.stat().st_size > LONGEST or (folder / NOTED).stat().st_size > LARGEST_JSON:
        return SignatureCheck(False, "it is too large for a signature")
    with tempfile.TemporaryDirectory() as place:
        return _checked(folder, known, Path(place))


def _checked(folder: Path, known: Path | None, place: Path) -> SignatureCheck:
    options = ["check-novalidate"]
    if known is not None:
        allowed = place / "allowed"
        allowed.write_text(f'{NAMESPACE} namespaces="{NAMESPACE}" {_public(known)}\n')
        options = ["verify", "-f", str(allowed), "-I", NAMESPACE]
    copy = place / "signature"
    copy.write_bytes((folder / SIGNATURE).read_bytes())
    try:
        done = _called([*options, "-s", str(copy)], (folder / NOTED).read_bytes())
    except SigningError as error:
        return SignatureCheck(False, str(error))
    found = FINGERPRINT.search(done.stdout.decode(errors="replace"))
    if done.returncode or found is None:
        by = f" by the key in {known.name}" if known is not None else ""
        return SignatureCheck(False, f"it is not a signature{by} of {NOTED}")
    whose = f"the key in {known.name}" if known is not None else "a key that you should compare with the sender's"
    return SignatureCheck(True, f"signed with {found[1]}, {whose}")


def _public(known: Path) -> str:
    """Return the type and bytes of a public key, without its comment."""
    try:
        text = known.read_text() if known.stat().st_size <= LONGEST else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SigningError(f"`by` must be the file of a public ssh key, got {known}: {error}.") from error
    found = re.match(r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+ [A-Za-z0-9+/=]+)(?:[ \t][^\n]*)?\n?\Z", text)
    if found is None:
        raise SigningError(f"`by` must be the file of a public ssh key, such as ~/.ssh/id_ed25519.pub, got {known}.")
    return found[1]


def _called(options: list[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    if shutil.which(TOOL) is None:
        raise SigningError(f"`{TOOL}` of OpenSSH 8.2 or newer must be there for signatures, got none. Install OpenSSH.")
    command = [TOOL, "-Y", *options, "-n", NAMESPACE]
    return subprocess.run(command, input=content, capture_output=True, timeout=PATIENCE, check=False)


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else f"exit code {done.returncode}"
