"""Signatures with the user's own ssh key: what was signed is found whole, and what changed since is named."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.engine.commanding import winnow_here
from tests.reliability.test_kills import made
from winnow.engine.runs import signing
from winnow.engine.runs.digests import NOTED, SIGNATURE, forget_digests, note_digests
from winnow.engine.runs.run import Run
from winnow.engine.runs.signing import SigningError, checked_signature, sign
from winnow.engine.runs.verify import verify

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two keys: the user's, and one of somebody else."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("own", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me on here", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    return folder / "own", folder / "other"


def public(key: Path) -> Path:
    return key.with_suffix(".pub")


def checks(run: Run, known: Path | None = None) -> dict[str, bool]:
    return {check.file: check.whole for check in verify(run, known)}


def test_what_was_signed_is_whole_and_a_change_is_named(gift: Run, keys: tuple[Path, Path]):
    own, other = keys
    assert winnow_here("runs", "sign", gift.id, "--key", str(own)).stdout == f"signed {gift.id}\n"
    assert checks(gift, public(own))[SIGNATURE]
    assert checks(gift)[SIGNATURE]
    assert not checks(gift, public(other))[SIGNATURE]
    assert winnow_here("runs", "verify", gift.id, "--by", str(public(own))).returncode == 0
    assert winnow_here("runs", "verify", gift.id, "--by", str(public(other))).returncode == 1
    table = gift.path / "tables" / "groups.parquet"
    table.write_bytes(table.read_bytes()[:-1] + b"\0")
    assert not checks(gift, public(own))["tables/groups.parquet"]
    note_digests(gift.path)  # who changes a file can write its digest too, and has to drop the signature
    assert not checks(gift, public(own))[SIGNATURE]
    assert SIGNATURE not in checks(gift)


def test_digests_that_were_written_anew_do_not_fit_a_signature(gift: Run, keys: tuple[Path, Path]):
    sign(gift.path, keys[0])
    kept = (gift.path / SIGNATURE).read_bytes()
    (gift.path / "tables" / "groups.parquet").write_bytes(b"else")
    note_digests(gift.path)
    (gift.path / SIGNATURE).write_bytes(kept)
    for known in (None, public(keys[0])):
        found = checked_signature(gift.path, known)
        assert found is not None
        assert not found.whole
        assert "it is not a signature" in found.detail


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"-----BEGIN SSH SIGNATURE-----\nAAAA\n", b"x" * (1 << 17)])
def test_a_damaged_signature_is_named(gift: Run, keys: tuple[Path, Path], content: bytes):
    sign(gift.path, keys[0])
    (gift.path / SIGNATURE).write_bytes(content)
    assert not checks(gift)[SIGNATURE]


def test_what_cannot_be_signed_says_why(gift: Run, keys: tuple[Path, Path], tmp_path: Path, monkeypatch):
    done = winnow_here("runs", "sign", gift.id, "--key", str(tmp_path / "none"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    (tmp_path / "no key").write_text("hello")
    with pytest.raises(SigningError, match="`key` must sign"):
        sign(gift.path, tmp_path / "no key")
    for content in ("", "hello", 'x namespaces="winnow" ssh-ed25519 AAAA\n', "ssh-ed25519 AAAA\nssh-rsa BBBB\n"):
        (tmp_path / "key.pub").write_text(content)
        sign(gift.path, keys[0])
        with pytest.raises(SigningError, match="`by` must be the file of a public ssh key"):
            verify(gift, tmp_path / "key.pub")
    (gift.path / "spec.json").write_text("{}")
    with pytest.raises(SigningError, match="must be whole"):
        sign(gift.path, keys[0])
    forget_digests(gift.path)
    assert not (gift.path / SIGNATURE).exists()
    with pytest.raises(SigningError, match="must have ended"):
        sign(gift.path, keys[0])
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SigningError, match="OpenSSH"):
        signing._called(["sign"], b"")


def test_a_run_that_goes_on_has_no_signature(runs_root: Path, keys: tuple[Path, Path]):
    run = made(runs_root)
    note_digests(run.path)
    sign(run.path, keys[0])
    assert (run.path / NOTED).is_file()
    forget_digests(run.path)  # as a worker does that takes it up
    assert checked_signature(run.path) is None
