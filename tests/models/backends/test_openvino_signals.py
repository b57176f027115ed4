"""What OpenVINO does to its process: Ctrl-C is answered afterwards too."""

import faulthandler
import gc
import os
import signal
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from models.backends.openvino import OpenVino
from models.compress.context import Context
from models.compress.int8_static import Int8Static


@pytest.mark.slow
def test_ctrl_c_is_answered_when_the_network_is_gone(within, convolutions):
    """In a process of its own: one that does not answer ends by SIGSEGV. Two sizes have code of their own."""
    pytest.importorskip("openvino"), pytest.importorskip("nncf")
    context = get_context("spawn")
    process = context.Process(target=press_ctrl_c, args=(convolutions, within(OpenVino()).data))
    process.start()
    process.join()
    assert process.exitcode == 0


def press_ctrl_c(net, data):
    faulthandler.enable()
    with TemporaryDirectory() as folder:
        fixed = ("cpu", 0, "32-true", Path(folder), lambda net, *_: net)
        final = Int8Static().after(net, Context(data, *fixed, (), [OpenVino()]))
        assert [len(final(data.test.inputs[:size])) for size in (5, 1)] == [5, 1]
    del final
    gc.collect()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
