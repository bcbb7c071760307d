from types import TracebackType

class ReusedMemory:
    counts: dict[str, int]
    def __enter__(self) -> ReusedMemory: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None
    ) -> None: ...
