"""A try of a compression on the untrained network, before any training, in a process that may die."""

import faulthandler
import getpass
import hashlib
import json
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from models.compress import processor
from models.compress.artefact import measure
from models.compress.context import Context
from models.compress.gains import gains_nothing, speedup
from models.training.evaluate import evaluating
from models.training.resume import tensors_in
from refusal import Refusal

_LONGEST_S = 900.0
_PLAIN = (bool, int, float, str, tuple, type(None))
Make = Callable[[], nn.Module]
"""makes the compressed network from the untrained one, which it leaves as it is"""


@final
class Attempt:
    """Whether an option works for the shapes of this network and its batches on this machine.

    What worked is remembered beside inductor's own code, so that equal networks pay once: for int8 a second
    compilation, 5 to 60 s. What failed is tried anew each time.

    Args:
        name: the option, as in `compress=[name]`.
        instead: what a refusal says to choose.
        code: the option whose code it shares, and so what is remembered.
    """

    def __init__(
        self, name: str, net: nn.Module, context: Context, instead: str, code: str | None = None
    ) -> None:
        self._name, self._net, self._context, self._instead = name, net, context, instead
        self._proof = _folder() / f"{_identity(code or name, net, context)}.json"

    @property
    def proven(self) -> bool:
        """Whether it has worked before."""
        return self._proof.exists()

    def run(self, make: Make, *, must_gain: bool = False) -> None:
        """Let what `make` makes answer a batch and a single example.

        On Linux and the CPU in a forked child, which computes in one thread, as a fork of OpenMP's pool
        must; elsewhere in this process. `must_gain` also asks that it be smaller on disk, or faster on
        batches or on single examples, than the network as it is.

        Raises:
            Refusal: it raised, took over 15 minutes, ended its process, or gained nothing.
        """
        if self.proven:
            return
        forks = sys.platform == "linux" and torch.device(self._context.device).type == "cpu"
        outcome = _in_child(lambda: self._try(make, must_gain)) if forks else self._try(make, must_gain)
        if "refused" in outcome:
            raise Refusal(outcome["refused"])
        if "failed" in outcome:
            raise Refusal(f"{self._where()} does not work ({outcome['failed']}): choose {self._instead}.")
        if must_gain and gains_nothing(**outcome):
            raise Refusal(
                f"{self._where()} is no gain: {_spelt(outcome)}: leave it out, or choose a wider network."
            )
        _remember(self._proof, outcome)

    def _try(self, make: Make, must_gain: bool) -> dict[str, Any]:
        batch = self._context.example
        try:
            made = make()
            with evaluating(made), torch.inference_mode():
                for inputs in (batch, batch[:1]):
                    made(inputs)
            return self._gains(made) if must_gain else {}
        except Refusal as error:
            return {"refused": str(error)}
        except Exception as error:  # whatever compilers and kernels raise on shapes that they cannot take
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
            return {"failed": f"{type(error).__name__}: {first[:160]}"}

    def _gains(self, made: nn.Module) -> dict[str, float]:
        batch = self._context.example
        return {
            "bytes_ratio": measure(made) / measure(self._net),
            "speedup": speedup(self._net, made, batch),
            "speedup_single": speedup(self._net, made, batch[:1]),
        }

    def _where(self) -> str:
        weights = {tuple(weight.shape) for weight in self._net.parameters() if weight.dim() > 1}
        shapes = ", ".join(str(shape) for shape in sorted(weights)[:4])
        machine = f"{processor.instructions()}, torch {torch.__version__}"
        inputs = tuple(self._context.example.shape)
        return (
            f"compress={self._name} on {type(self._net).__name__} with inputs {inputs} and weights {shapes}, "
            f"on this machine ({machine}),"
        )


def _spelt(outcome: dict[str, float]) -> str:
    return (
        f"{outcome['bytes_ratio']:.2f} of the bytes, {outcome['speedup']:.2f} of the speed on batches, "
        f"{outcome['speedup_single']:.2f} on single examples"
    )


def _in_child(job: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `job` returns in a forked process, or how that process ended."""
    forking = get_context("fork")
    ours, theirs = forking.Pipe(duplex=False)
    child = forking.Process(target=_live, args=(theirs, job), daemon=True)
    with warnings.catch_warnings():
        # Newer Pythons warn of threads that a fork leaves behind; the child starts none of its own.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    theirs.close()
    try:
        if not ours.poll(_LONGEST_S):
            return {"failed": f"no answer in {_LONGEST_S:.0f} s"}
        return json.loads(ours.recv_bytes())
    except EOFError:
        child.join()
        return {"failed": _end(child.exitcode)}
    finally:
        child.kill()
        child.join()
        ours.close()


def _live(theirs: "Connection[Any, Any]", job: Callable[[], dict[str, Any]]) -> None:
    """The life of the child: one thread, no core file, no word on how it dies, which its parent tells."""
    import resource  # which Windows lacks

    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    torch.set_num_threads(1)
    theirs.send_bytes(json.dumps(job()).encode())


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        return f"it ends the process by {signal.Signals(-code).name}"
    return f"it ends the process with code {code}"


def _identity(name: str, net: nn.Module, context: Context) -> str:
    """Of all that decides whether it works: option, network, batch, machine, versions, this lab's code."""
    example = context.example
    modules = [
        (path, type(module).__qualname__, sorted(_plain(module).items()))
        for path, module in net.named_modules()
    ]
    held = tensors_in(net.state_dict())
    weights = [(path, tuple(value.shape), str(value.dtype)) for path, value in held.items()]
    inputs = (tuple(example.shape), str(example.dtype), context.device)
    return hashlib.sha256(repr((name, modules, weights, inputs, _machine())).encode()).hexdigest()[:32]


def _plain(module: nn.Module) -> dict[str, Any]:
    return {key: value for key, value in vars(module).items() if type(value) in _PLAIN and key != "training"}


@cache
def _machine() -> tuple[str, ...]:
    from importlib.metadata import version

    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(path.read_bytes())
    name = str(torch.cpu.get_capabilities().get("cpu_name", ""))
    return name, processor.instructions(), torch.__version__, version("torchao"), sources.hexdigest()


def _folder() -> Path:
    # Spelt out, since inductor's own function costs an import of all of it.
    named = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    return Path(named or f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}") / "joulelab_proven"


def _remember(proof: Path, outcome: dict[str, Any]) -> None:
    """A machine whose cache cannot be written tries again each time."""
    try:
        proof.parent.mkdir(parents=True, exist_ok=True)
        temporary = proof.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(outcome))
        temporary.replace(proof)
    except OSError as error:
        warnings.warn(
            f"{proof.parent} cannot be written ({error.strerror}): tries are not remembered", stacklevel=2
        )
