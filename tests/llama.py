"""llama.cpp through the wheel xllamacpp, whose library exports the C functions: what it computes from a GGUF file.

The parameter structures are taken as whole words: their beginning is what llama.h of 2026-10 says.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTER = ctypes.c_void_p
ATTENTION, KEYS, VALUES = 13, 26, 27  # words of llama_context_params: flash attention, types of the cache


QUIET = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, POINTER)(lambda *_: None)


class Parameters(ctypes.Structure):
    """Room for a structure of parameters, which the library fills and reads."""

    _fields_ = (("words", ctypes.c_uint32 * 256),)


class Batch(ctypes.Structure):
    """llama_batch."""

    _fields_ = (("tokens", ctypes.c_int32), *((f"field{k}", POINTER) for k in range(6)))


def library() -> Any:
    """Return xllamacpp's shared library with the types of the functions that are used here."""
    import xllamacpp

    lib = ctypes.CDLL(str(next(Path(xllamacpp.__file__).parent.glob("*.so*"))))
    i32, text = ctypes.c_int32, ctypes.c_char_p
    for name, result, arguments in [
        ("llama_model_default_params", Parameters, []),
        ("llama_context_default_params", Parameters, []),
        ("llama_model_load_from_file", POINTER, [text, Parameters]),
        ("llama_init_from_model", POINTER, [POINTER, Parameters]),
        ("llama_model_get_vocab", POINTER, [POINTER]),
        ("llama_tokenize", i32, [POINTER, text, i32, POINTER, i32, ctypes.c_bool, ctypes.c_bool]),
        ("llama_batch_get_one", Batch, [POINTER, i32]),
        ("llama_encode", i32, [POINTER, Batch]),
        ("llama_decode", i32, [POINTER, Batch]),
        ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), [POINTER, i32]),
        ("llama_get_memory", POINTER, [POINTER]),
        ("llama_memory_clear", None, [POINTER, ctypes.c_bool]),
        ("llama_log_set", None, [POINTER, POINTER]),
        ("llama_free", None, [POINTER]),
        ("llama_model_free", None, [POINTER]),
    ]:
        getattr(lib, name).restype, getattr(lib, name).argtypes = result, arguments
    return lib


class Llama:
    """A GGUF file in llama.cpp, with keys and values in float32."""

    def __init__(self, path: Path, ids: int) -> None:
        self.ids, self.lib = ids, library()
        self.lib.llama_log_set(ctypes.cast(QUIET, POINTER), None)
        self.lib.llama_backend_init()
        self.model = self.lib.llama_model_load_from_file(
            str(path).encode(), self.lib.llama_model_default_params()
        )
        assert self.model, f"llama.cpp does not load {path}"
        parameters = self.lib.llama_context_default_params()
        for word in (ATTENTION, KEYS, VALUES):
            parameters.words[word] = 0  # off; float32
        self.context = self.lib.llama_init_from_model(self.model, parameters)
        assert self.context

    def close(self) -> None:
        self.lib.llama_free(self.context)
        self.lib.llama_model_free(self.model)

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of a text, its `</s>` included; special tokens are not read."""
        data = text.encode()
        ids = (ctypes.c_int32 * (4 * len(data) + 8))()
        vocabulary = self.lib.llama_model_get_vocab(self.model)
        count = self.lib.llama_tokenize(vocabulary, data, len(data), ids, len(ids), True, False)
        return list(ids[:count])

    def greedy(self, inputs: Sequence[int], steps: int) -> tuple[list[int], NDArray[np.float32]]:
        """Return the ids written after pad, the end among them, and the logits (steps, ids) of each."""
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        assert self._run(self.lib.llama_encode, inputs) == 0
        written, logits = [0], []
        while len(written) <= steps and written[-1:] != [1]:
            assert self._run(self.lib.llama_decode, written[-1:]) == 0
            row = np.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.context, -1), (self.ids,))
            logits.append(row.copy())
            written.append(int(row.argmax()))
        return written[1:], np.array(logits)

    def _run(self, function: Any, ids: Sequence[int]) -> int:
        array = (ctypes.c_int32 * len(ids))(*ids)
        return int(function(self.context, self.lib.llama_batch_get_one(ctypes.addressof(array), len(ids))))
