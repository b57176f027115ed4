"""From a network to a graph of plain operations, and from that to machine code with its weights inside."""

import copy
import logging
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn

from models.training.evaluate import evaluating
from refusal import Refusal


def compiler(name: str) -> None:
    """Raise `Refusal` when torch's inductor cannot compile here; `name` is the option that needs it."""
    with quiet():
        from torch._inductor import config, cpp_builder, exc

    try:
        found = cpp_builder.get_cpp_compiler()
    except (exc.InvalidCxxCompiler, RuntimeError):
        found = None
    if found is None or shutil.which(found) is None:
        raise Refusal(
            f"{name} compiles the network and found no C++ compiler ({config.cpp.cxx[-1]}): install g++ "
            "(apt install g++, or xcode-select --install), or choose compress=[bf16]."
        )


def export(net: nn.Module, example: Tensor, name: str) -> torch.fx.GraphModule:
    """The graph of `net` in evaluation mode, for batches of any size; it shares the network's weights.

    `example` (B, *shape) or (B, T). Raises `Refusal`, with the reason, for a network whose path depends on
    its data; `name` is the option that asked.
    """
    try:
        with quiet(), torch.no_grad():
            graph = program(net, example).module()
    except Exception as error:  # whatever a network's own code raises when it is traced
        raise Refusal(
            f"{name} cannot turn {type(net).__name__} into a graph ({first_line(error)}): choose "
            "compress=[bf16] or compress=[int8_weights], or a network whose path no data changes."
        ) from error
    return plain(graph)


def program(net: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """Torch's own export of `net` in evaluation mode, for batches of any size; raises what that raises."""
    pair = example[:2] if len(example) > 1 else torch.cat([example, example])
    with evaluating(net), quiet(), torch.no_grad(), torch.autocast(example.device.type, enabled=False):
        return torch.export.export(net, (pair,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))


def one_mode(graph: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """`graph` with a `train` and an `eval` that do nothing to it, where torch put ones that refuse."""
    for mode in ("train", "eval"):
        vars(graph).pop(mode, None)
    return graph


def plain(graph: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """`graph` as a function of a tensor to a tensor, without checks of what it is called with."""
    for node in [node for node in graph.graph.nodes if node.target == "_guards_fn"]:
        graph.graph.erase_node(node)
    graph.graph.set_codegen(torch.fx.graph.CodeGen())
    answer = graph.graph.output_node()
    answers: Any = answer.args[0]
    answer.args = (answers[0],)
    graph.recompile()
    return one_mode(graph)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160]


@final
class Compiled(nn.Module):
    """A network in machine code: one code for single examples and one for batches of any size.

    `eager` is what it was made of, in which weights are counted and saved. Its weights are constants of the
    code, so changing them has no effect. Raises `Refusal` as `export` does.
    """

    def __init__(self, eager: nn.Module, graph: torch.fx.GraphModule, example: Tensor) -> None:
        super().__init__()
        self.eager = eager
        self._code = _Code(graph, example)

    @property
    def seconds(self) -> float:
        """That compiling has taken so far."""
        return self._code.seconds

    def forward(self, x: Tensor) -> Tensor:
        """Logits; without a gradient, and in the network's own precision."""
        return self._code(x)

    def train(self, mode: bool = True) -> "Compiled":
        """Code has no mode; `eager` takes it."""
        return super().train(mode)

    def metrics(self) -> dict[str, float]:
        """The network's own, which the code does not renew."""
        return {}

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Of `eager`."""
        return self.eager.state_dict(*args, **kwargs)


@final
class _Code:
    """Machine code by batch size, made when a size is first asked for."""

    def __init__(self, graph: torch.fx.GraphModule, example: Tensor) -> None:
        self._graph, self.seconds = graph, 0.0
        self._batch, self._holds = self._lower(example, dynamic=True)
        self._by_size: dict[int, Callable[[Tensor], Tensor]] = {}
        self._for(example[:1])

    def __call__(self, x: Tensor) -> Tensor:
        # The code counts on rows that lie one after another.
        x = x.contiguous()
        code = self._by_size.get(len(x)) or self._for(x)
        with torch.no_grad():
            if not torch.is_autocast_enabled(x.device.type):
                return code(x)
            with torch.autocast(x.device.type, enabled=False):
                return code(x)

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Code":
        return self  # nothing in it ever changes but what it has already seen

    def _for(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        size = len(x)
        code = self._batch if size > 1 and self._holds(size) else self._lower(x, dynamic=False)[0]
        return self._by_size.setdefault(size, code)

    def _lower(self, x: Tensor, *, dynamic: bool) -> tuple[Callable[[Tensor], Tensor], Callable[[int], bool]]:
        started = time.perf_counter()
        lowered = lower(self._graph, x, dynamic=dynamic)
        self.seconds += time.perf_counter() - started
        return lowered


def lower(
    graph: torch.fx.GraphModule, example: Tensor, *, dynamic: bool
) -> tuple[Callable[[Tensor], Tensor], Callable[[int], bool]]:
    """Machine code for `graph` by inductor, weights frozen into it, and whether it holds for a batch size.

    Straight to inductor and not by `torch.compile`: what that checks at each call of a network is 0.1 ms,
    more than a small network takes. `example` (B, *shape) says for which size to plan; without `dynamic` it
    is the only one. The graph stays as it is.
    """
    with quiet():
        from torch._inductor.compile_fx import compile_fx
        from torch._subclasses.fake_tensor import FakeTensorMode
        from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    shapes = ShapeEnv()
    first = DimDynamic.DYNAMIC if dynamic else DimDynamic.STATIC
    sizes: StatelessSymbolicContext[Any, Any] = StatelessSymbolicContext(
        dynamic_sizes=[first] + [DimDynamic.STATIC] * (example.dim() - 1)
    )
    example = torch.cat([example, example]) if dynamic and len(example) == 1 else example
    fake = FakeTensorMode(shape_env=shapes, allow_non_fake_inputs=True).from_tensor(
        example.detach().contiguous(), symbolic_context=sizes
    )
    # One thread compiles: workers of their own would cost an import of torch each, and outlive a trial.
    options = {"freezing": True, "compile_threads": 1}
    with torch.inference_mode(False), torch.no_grad(), quiet():
        code: Any = compile_fx(copy.deepcopy(graph), [fake], config_patches=options)
    return code, lambda size: _holds(shapes, size)


def _holds(shapes: Any, size: int) -> bool:
    """Whether all that was assumed of the batch while compiling is true of `size`."""
    if shapes.replacements:
        return False
    return all(bool(guard.expr.subs(dict.fromkeys(guard.expr.free_symbols, size))) for guard in shapes.guards)


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's warnings about its own old names while it exports, quantises and compiles."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def unlogged() -> Iterator[None]:
    """Without what libraries advise and miss while they quantise, which they log to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
