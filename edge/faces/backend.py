"""The seam behind which every way of finding faces lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from edge.faces.effort import Effort, FacesReport
    from edge.values import Face, Frame


class FaceFinder(Protocol):
    """Finds the faces of each frame and keeps their identity from frame to frame.

    Calls must come from one thread with capture times that never decrease. It is a context
    manager: leaving it frees threads and models.
    """

    @property
    def name(self) -> str:
        """The back end as it is told in ``/info``, such as ``mediapipe 1.2.2``."""
        ...

    @property
    def reason(self) -> str:
        """Why this back end was taken, one line for the log and ``/info``."""
        ...

    @property
    def report(self) -> FacesReport:
        """Cost and freshness of the last call, for ``/health``."""
        ...

    @property
    def forgotten(self) -> tuple[int, ...]:
        """Tracks that ended with the last call; what is kept of them must be dropped."""
        ...

    def find(self, frame: Frame) -> tuple[Face, ...]:
        """Return the faces in ``frame``, ordered by track; none is an empty tuple."""
        ...

    def spend(self, effort: Effort) -> None:
        """Set how much work the next calls may do; may be called between any two frames."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
