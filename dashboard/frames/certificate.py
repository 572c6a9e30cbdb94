"""The certificate of a pruning: what was compared, on what, and how far apart the two were."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.engine.runs.derived import DerivedJob

FLOAT32, FLOAT64 = 1e-4, 1e-10  # the largest relative errors that engine.pruning.certificate lets pass


class CertificateFile(BaseModel):
    """What certificate.json says; `relative_error_*` is the largest difference by the scale of its output."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    max_error_float32: float
    max_error_float64: float
    relative_error_float32: float
    relative_error_float64: float
    relative_error_training: float | None = None
    inputs: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    tensors: int = 0
    elements: int = 0
    open: dict[str, str] = {}
    fixed: tuple[str, ...] = ()
    compared_with: str = "the network of the run"
    fixed_sizes: bool = False
    refitted_afterwards: bool = False

    @property
    def holds(self) -> bool:
        """Whether both errors are within the limits."""
        return 0 <= self.relative_error_float32 <= FLOAT32 and 0 <= self.relative_error_float64 <= FLOAT64


def certificate(pruning: DerivedJob) -> CertificateFile | None:
    """Return the certificate, None where there is none yet.

    Raises:
        ValueError: the file is not a certificate.

    """
    path = pruning.path / "certificate.json"
    return _read(path, version(path))


@latest(64)
def _read(path: Path, written: Version) -> CertificateFile | None:
    if not any(written):
        return None
    try:
        return CertificateFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(
            f"`certificate.json` must be a valid certificate, got {error.error_count()} errors."
        ) from error
