"""The adapter for llama.cpp's own program, which needs no server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..pipeline import Clock, ProviderError, Request, Timeouts
from .adapter import Adapter, Joined
from .llama_process import LlamaProcessCodec, Template
from .process import ProcessTransport, Programs
from .rule import Rule, checked

if TYPE_CHECKING:
    from .incoming import Arrival
    from .probing import Inquiry

__all__ = ["LlamaCppProcess", "LlamaCppProcessBase"]


class LlamaCppProcessBase(Joined):
    """llama.cpp without a server: every call runs `llama-completion`, which loads the model and ends with the answer.

    The program is killed when its reply is closed or late, and when this process dies. N calls at once are N
    programs, each with the model in memory. Loading counts as part of the answer: where that takes longer than a
    minute, give `Timeouts(first_event=300)` or so.

    A single message of the user's is the prompt, as it is. A conversation becomes plain text, which any model can go
    on with: the system's text, a blank line, then `User: ...` and `Assistant: ...`, one below the other, and
    `Assistant:` at the end; a last message of the assistant's is gone on with. A model that was trained on a chat
    format does better with that: give it as `template`. Tools and images cannot be said.

    `stop` is looked for in the text that the program writes, which has no control tokens in it. What the program
    tells about its speed, as it does by default, has to stay on: it is the proof that nothing before it was lost.

    Args:
        model: the model for callers that name none: the path of a GGUF file.
        binary: the name of the program, looked up on PATH for each call, or its path.
        template: writes the messages in the model's own chat format, without the token that begins a text, which the
            program adds; None for plain text.
        timeouts: the four clocks.
        provider: the name in replies and errors.
        environment: what is added to our own environment for the program; its `LLAMA_ARG_...` set what has no
            parameter here, such as `{"LLAMA_ARG_DEVICE": "CUDA0"}`.
        rules: what its complaints mean in your eyes; they go before the adapter's own.

    Raises:
        ValueError: if the binary is `llama-cli`.
        RuntimeError: on Windows.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        binary: str = "llama-completion",
        template: Template | None = None,
        timeouts: Timeouts | None = None,
        provider: str = "llama_cpp",
        environment: Mapping[str, str] | None = None,
        rules: Sequence[Rule] = (),
    ) -> None:
        if os.path.basename(binary) == "llama-cli":
            raise ValueError(
                "binary must be llama-completion, not llama-cli: since December 2025 that one is a chat program that "
                "exits with 0 when it fails. An older llama-cli is the right program: link to it as llama-completion"
            )
        # Without it, a program that aborts starts a debugger, which writes where the answer should be.
        quiet = {"GGML_NO_BACKTRACE": "1", **(environment or {})}
        super().__init__(
            LlamaProcessCodec(template),
            self._over_pipes(binary, provider="llama_cpp", environment=quiet, rules=checked(rules)),
            model=model,
            timeouts=timeouts,
            provider=provider,
        )

    def _inquiry(self, model: str | None, timeout: float, clock: Clock | None) -> Inquiry:
        from .model_files import FileInquiry

        return FileInquiry(self, model, timeout, clock)

    def _tell(
        self, error: ProviderError, cause: BaseException | None, request: Request, incoming: Arrival | None
    ) -> ProviderError:
        """As Adapter has it. The program often loses its last words, on why it has no model: the file still tells."""
        if error.reason in ("exit", "model_load"):
            from .model_files import fault_of

            error = fault_of(request.model) or error
        return super()._tell(error, cause, request, incoming)

    @staticmethod
    def _over_pipes(binary: str, **options: Any) -> Programs:
        """The transport to a program in this world; the options are those of ProcessTransport."""
        raise NotImplementedError


class LlamaCppProcess(LlamaCppProcessBase, Adapter):
    __doc__ = LlamaCppProcessBase.__doc__

    @staticmethod
    def _over_pipes(binary: str, **options: Any) -> Programs:
        return ProcessTransport(binary, **options)
