"""The processes that a test session has started and not yet waited for."""

from pathlib import Path


def children() -> set[int]:
    """Ids of this process's children, those that ended and were not waited for among them."""
    found = set()
    for thread in Path("/proc/self/task").glob("*"):
        try:
            found |= set(map(int, (thread / "children").read_text().split()))
        except OSError:
            # The thread has ended meanwhile; its children are another's now, and are listed there next time.
            continue
    return found


def told(pid: int) -> str:
    """A process by its command, or by what is left of it."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return f"{pid} (gone since)"
    return f"{pid}: {command[:200]}" if command else f"{pid} (ended, and nobody waited for it)"
