"""Signals and compiled code: Ctrl-C at any moment, and no crash.

A compiled function makes Python objects of its results with code of Numba's that is partly Python. There
the interpreter runs the handlers of the signals that came meanwhile, and an exception, such as
KeyboardInterrupt, is not looked for: the process crashes. A compiler that is broken off anywhere leaves
its tables half filled, and an import leaves half of a package, which perhaps cannot be imported again. So
three things happen here, all in the main thread, the only one that runs handlers:

    call_whole      while a kernel runs, signals are noted; their handlers run when it has returned
    interruptible   what takes seconds, compiling above all, runs in a thread of its own, and the main
                    thread waits where a signal is heard at once
    import_whole    an import runs so, too, and is done to its end after a signal
"""

import os
import signal
import sys
import threading

# `signal` itself takes a microsecond a call to make enums
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_signal
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from threading import get_ident
from types import ModuleType
from typing import Any, TypeVar

Result = TypeVar("Result")

SIGNALS = tuple(
    int(getattr(signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
PATIENCE = 0.05  # seconds between two looks for a signal that was noted

_came: list[int] = []  # signals that came while a kernel ran
_thread = threading.local()  # .stop: the event that asks this thread to stop
_main = threading.main_thread().ident  # the thread that runs handlers


def _in_child() -> None:
    global _main
    _main = threading.get_ident()


if hasattr(os, "register_at_fork"):  # the thread that forks is the main thread of the child
    os.register_at_fork(after_in_child=_in_child)


class Interrupted(BaseException):
    """A signal came, or the pool of this thread ends; the call has no result."""


def call_whole(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call `function` while no handler of a signal can run.

    The handlers run, and raise what they like, at the end. It takes a microsecond.

    >>> call_whole(sorted, "hola")
    ['a', 'h', 'l', 'o']
    """
    if get_ident() != _main:
        return function(*arguments)
    while True:
        held: list[tuple[int, Any]] = []
        try:
            for signal_number in SIGNALS:
                handler = getsignal(signal_number)
                if callable(handler) and handler is not _note:  # it is in a call within a whole one
                    held.append((signal_number, handler))
                    set_signal(signal_number, _note)
            return function(*arguments)
        except Interrupted:
            if not held:
                raise
        finally:
            if held:
                _give_back(held)


def _note(signal_number: int, _: Any) -> None:
    _came.append(signal_number)


def _give_back(held: list[tuple[int, Any]]) -> None:
    """Set the handlers again, and let those of the signals that came run."""
    raised = None
    while held:
        try:
            set_signal(*held[-1])
            held.pop()
        except BaseException as error:  # of a handler that is back already; the others must be, too
            raised = error
    while _came:
        signal.raise_signal(_came.pop())
    if raised is not None:
        raise raised


def interruptible(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function that takes seconds, so that Ctrl-C is heard meanwhile.

    It runs in a thread of its own, which is left alone after a signal: it must change nothing that anybody uses
    later. Raises what the handler of the signal raises, and Interrupted in a kernel's call and in a pool that ends.

    >>> interruptible(sorted, "hola")
    ['a', 'h', 'l', 'o']
    """
    of_pool: threading.Event | None = getattr(_thread, "stop", None)
    if of_pool is None and get_ident() != _main:
        return function(*arguments)
    results: list[Result] = []
    errors: list[BaseException] = []
    stop, done = threading.Event(), threading.Event()

    def work() -> None:
        _thread.stop = stop
        try:
            results.append(function(*arguments))
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="spanish-tok").start()
    try:
        while not done.wait(PATIENCE):
            if _came if of_pool is None else of_pool.is_set():
                raise Interrupted
    finally:
        stop.set()
    if errors:
        raise errors[0]
    return results[0]


def import_whole(name: str) -> ModuleType:
    """Import a module, so that Ctrl-C is heard meanwhile and breaks nothing off.

    After a signal it is done all the same; another call waits for its end. Raises what the module raises.

    >>> import_whole("json").loads("[1]")
    [1]
    """
    module = sys.modules.get(name)
    if module and not getattr(module.__spec__, "_initializing", False):
        return module
    return interruptible(import_module, name)


def stop_with(stop: threading.Event) -> None:
    """Let this thread, one of a pool, stop compiling when `stop` is set."""
    _thread.stop = stop


def stop_here() -> None:
    """Raise Interrupted in a thread that was asked to stop."""
    with suppress(AttributeError):
        if _thread.stop.is_set():
            raise Interrupted
