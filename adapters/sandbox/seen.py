"""What a sandbox saw: one record for each request that reached it.

Tests assert on these, and answer functions read them to echo what they were asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


def text_of(content: object) -> str:
    """The text in a message's content, whether it is a string or a list of parts.

    Args:
        content: a string, a list of content parts, or anything else, which has no text.

    Returns:
        The text, parts joined by blanks.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        found = [part.get("text") for part in objects(content)]
        return " ".join(text for text in found if isinstance(text, str) and text)
    return ""


def objects(value: object) -> list[dict[str, Any]]:
    """The JSON objects in a list; empty for what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived.

    Args:
        number: its place in the order of arrival, from 1, over all paths.
        method: `POST`, `GET`, …
        path: without the query.
        query: what followed the question mark, or an empty string.
        headers: names in lower case; repeated ones are joined with a comma.
        body: the parsed JSON, or the raw bytes if they are not JSON.
        raw: the bytes of the body.
    """

    number: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    raw: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """The body if it is a JSON object, else an empty dict."""
        return self.body if isinstance(self.body, dict) else {}

    @property
    def prompt(self) -> str:
        """The text of the last user message, or an empty string."""
        for message in reversed(objects(self.fields.get("messages"))):
            if message.get("role") == "user":
                return text_of(message.get("content"))
        return ""

    @property
    def prompt_words(self) -> int:
        """How many words all messages and the system prompt have: the sandbox's measure of prompt tokens."""
        said = objects(self.fields.get("messages"))
        texts = [text_of(self.fields.get("system")), *(text_of(message.get("content")) for message in said)]
        return sum(len(text.split()) for text in texts)
