"""A FastAPI endpoint that streams, with a fallback behind it. Whoever closes the page stops the provider too.

pip install fastapi uvicorn 'mainstay[async]'
OPENAI_API_KEY=... ANTHROPIC_API_KEY=... uvicorn examples.fastapi_endpoint:app
curl -N -d '{"prompt": "Why is the sky blue?"}' -H 'content-type: application/json' http://127.0.0.1:8000/chat
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from mainstay.pipeline import AsyncReply, ErrorClass, ProviderError
from mainstay.providers import AsyncProviderManager

STATUS = {ErrorClass.INVALID_REQUEST: 400, ErrorClass.RATE_LIMIT: 429, ErrorClass.TIMEOUT: 504}


class Question(BaseModel):
    """What is asked."""

    prompt: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncProviderManager() as manager:
        manager.add_provider("openai")
        manager.add_provider("claude", {"model": "claude-sonnet-4-5"})
        manager.setup_fallback_chain(["openai", "claude"])
        app.state.manager = manager
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(question: Question, request: Request) -> StreamingResponse:
    # Until the first token is there, failures are retried and fall back; then the status is decided.
    reply = await request.app.state.manager.stream_with_fallback("gpt-4o", question.prompt)
    return StreamingResponse(texts(reply), media_type="text/plain", headers={"X-Provider": reply.provider})


async def texts(reply: AsyncReply) -> AsyncIterator[str]:
    async with reply:  # if the client goes away, the connection to the provider is closed
        async for chunk in reply:
            yield chunk.text


@app.get("/health")
async def health(request: Request) -> dict[str, object]:
    return dict(request.app.state.manager.get_provider_status())


@app.exception_handler(ProviderError)
async def failed(request: Request, error: ProviderError) -> JSONResponse:
    wait = {"Retry-After": str(int(error.retry_after) + 1)} if error.retry_after else None
    return JSONResponse({"error": str(error), "hint": error.hint}, STATUS.get(error.error_class, 502), wait)
