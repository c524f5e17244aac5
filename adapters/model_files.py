"""What can be found out about a model in a file without loading it: the program is there, the file is there and is one.

The place of the questions that a server is asked in `probing`, for a program that is run anew for each call.
"""

from __future__ import annotations

import os
from typing import cast

from ..pipeline import ErrorClass, ModelNotFound, ProviderError, Unavailable
from .endpoints import Model
from .hints import hint_for
from .probing import Inquiry, Probe
from .process import Programs
from .worlds import Waits

__all__ = ["FileInquiry", "fault_of"]

_MAGIC = b"GGUF"  # the first four bytes of every such file, by its specification


class FileInquiry(Inquiry):
    """A question to an adapter that runs a program of this machine; the name of a model is the path of its file."""

    def _list(self) -> Waits[tuple[Model, ...]]:
        yield from ()  # nothing is waited for
        path = self._adapter.model
        return (_model_in(path),) if path else ()

    def _probe(self) -> Waits[Probe]:
        yield from ()
        cast(Programs, self._adapter.transport).find()
        found = _model_in(self._model) if self._model else None
        return Probe(self._clock.now() - self._start, False, found)


def fault_of(path: str) -> ProviderError | None:
    """Why no program could load the model in that file, or None if nothing is to be seen from here."""
    try:
        _model_in(path)
    except ProviderError as error:
        return error
    return None


def _model_in(path: str) -> Model:
    """The model in a GGUF file, named like the file.

    Raises:
        ModelNotFound: if there is no such file.
        Unavailable: with reason "bad_model_file", if it cannot be read, or is something else.
    """
    try:
        with open(path, "rb") as file:
            begin = file.read(len(_MAGIC))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        hint = hint_for("llama_cpp", ErrorClass.MODEL_NOT_FOUND, "model", "")
        raise ModelNotFound(f"model not found: {path!r} is no file", reason="model", hint=hint) from None
    except OSError as error:
        trouble = f"it cannot be read: {error.strerror}"
    else:
        if begin == _MAGIC:
            return Model(path, os.path.basename(path))
        trouble = "it is no GGUF file"
    raise Unavailable(f"the model {path!r} is not usable, {trouble}", reason="bad_model_file")
