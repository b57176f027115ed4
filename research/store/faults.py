"""What can be wrong with a trial that has no numbers: nine classes, each with one policy, told by its reason.

The class is read from the reason that its row holds, so it is known of rows of any age and of whatever
process wrote them. Which attempts are made again, what a trial is buried for, and what memory learns from,
all ask the one table here.
"""

import re
from typing import Literal, NamedTuple

from refusal import Ended, Refusal
from research.store.states import AttemptOutcome

Fault = Literal[
    "oom", "diverged", "hung", "crashed", "timeout", "lost", "infrastructure", "invalid", "refused"
]


class Policy(NamedTuple):
    """What follows from a fault."""

    outcome: AttemptOutcome
    """how the attempt is written down"""
    teaches: bool
    """it says something of the configuration: memory learns from it"""

    @property
    def own(self) -> bool:
        """It is the trial's own: three of them bury it, and none is tried again without being asked for.

        The machine's are tried again, later and later, under a cap of their own.
        """
        return self.outcome not in OTHERS


OTHERS: tuple[AttemptOutcome, ...] = ("lost", "infrastructure")
"""outcomes that are nobody's fault but the machine's"""
POLICIES: dict[Fault, Policy] = {
    "oom": Policy("configuration", teaches=True),
    "diverged": Policy("configuration", teaches=True),
    "invalid": Policy("configuration", teaches=True),
    "crashed": Policy("configuration", teaches=True),
    # It lacks data, a device or a file as often as it is wrong by itself.
    "refused": Policy("configuration", teaches=False),
    # A limit is a person's, and a machine hangs as well as a network does.
    "hung": Policy("hung", teaches=False),
    "timeout": Policy("timeout", teaches=False),
    "lost": Policy("lost", teaches=False),
    "infrastructure": Policy("infrastructure", teaches=False),
}
NO_FAULT = ("stopped", "interrupted", "cancelled", "SystemExit")
"""how the reason of a trial begins that somebody ended, or that could not win: nothing is wrong with it"""
_OUTSIDE = re.compile(
    r"The database .* cannot be used|No space left on device|Disk quota exceeded|File too large|disk is full"
    r"|Too many open files|Input/output error|Stale file handle|Read-only file system|Transport endpoint"
    r"|[Cc]onnection (?:refused|reset|timed out|aborted|closed)|[Nn]etwork is unreachable|No route to host"
    r"|Name or service not known|[Tt]emporary failure in name resolution|Max retries exceeded"
    r"|(?:CUDA|NCCL|cuBLAS|CUBLAS|cuDNN) (?:driver )?error(?!.*(?:out of memory|assert|illegal memory))"
    r"|ECC error|fallen off the bus",
    re.DOTALL,
)
"""what a disk, a network, a server or a device says, whatever kind of error brings it"""
_NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|[Cc]annot allocate memory|not enough memory|Unable to allocate"
    r"|does not fit into memory"
)
_KINDS: dict[Fault, str] = {
    "oom": "MemoryError OutOfMemoryError",
    "refused": "Refusal FileNotFoundError PermissionError NotADirectoryError IsADirectoryError ImportError "
    "ModuleNotFoundError",
    "lost": "Lost Busy",
    "infrastructure": "Unreachable OperationalError InterfaceError DisconnectionError OSError TimeoutError "
    "ConnectionError ConnectionRefusedError ConnectionResetError ConnectionAbortedError BrokenPipeError "
    "BlockingIOError URLError HTTPError SSLError gaierror ReadTimeout ConnectTimeout ProxyError "
    "IncompleteRead",
    "invalid": "TypeError ValueError KeyError IndexError AttributeError NameError LookupError AssertionError "
    "NotImplementedError SyntaxError ArithmeticError ZeroDivisionError OverflowError RecursionError "
    "UnicodeDecodeError",
}
"""kinds of Python errors by what they are; any other is a crash: it may not come again"""
_OF_KIND: dict[str, Fault] = {kind: fault for fault, kinds in _KINDS.items() for kind in kinds.split()}


def of(reason: str | None) -> Fault | None:
    """The class of a trial's reason; None for one that nothing is wrong with, or that has no reason."""
    said = (reason or "").strip()
    word, _, rest = said.partition(": ")
    if not said or said.startswith(NO_FAULT):
        return None
    if word in POLICIES and word != "refused":
        return word
    if _OUTSIDE.search(said):
        return "infrastructure"
    if _NO_MEMORY.search(said):
        return "oom"
    if word == "died":  # as versions without classes wrote it
        return "lost" if re.search(r"SIGKILL|SIGTERM|SIGHUP|the process that forks", rest) else "crashed"
    return "refused" if word == "refused" else _OF_KIND.get(word, "crashed")


def of_error(error: BaseException) -> Fault | None:
    """The class of what ended a trial in its own process, by the same rules."""
    if isinstance(error, KeyboardInterrupt):
        return None
    kind = "Refusal" if type(error) is Refusal else type(error).__name__
    return of(str(error) if isinstance(error, Ended) else f"{kind}: {error}")


def teaches(reason: str | None) -> bool:
    """Whether a failure says something of its configuration."""
    fault = of(reason)
    return fault is not None and POLICIES[fault].teaches


def outcome(reason: str | None) -> AttemptOutcome:
    """How an attempt that ended for this reason is written down; what could not win has its own status."""
    fault = of(reason)
    if fault is not None:
        return POLICIES[fault].outcome
    word = (reason or "").partition(":")[0]
    return "cancelled" if word == "cancelled" else "configuration" if "stopped" in word else "interrupted"
