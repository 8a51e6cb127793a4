"""A chat model that a vLLM or llama-server of the private network serves; nothing is loaded here."""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx

from inference.errors import ContextOverflow, EngineBroken, EngineUnavailable, InputRejected
from inference.preprocessing.chat import context_check, messages_inert
from inference.values import ChatDelta, ChatMessage, ChatRequest

_NAME = "openai_local"
_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 300.0
"""A long prompt on a busy server may take this long to its first token."""

_SHOWN_CHARS = 500


class OpenAiLocalModel:
    """A chat model that another machine of the organisation serves.

    The address is the one that an administrator named: a number of the private network or of this machine, never a name
    that a resolver could point elsewhere. Redirects and proxies are not followed. The egress guard needs the same
    address in CLOISTER_ALLOWED_ADDRESSES.

    Options:
        base_url: ``http://10.1.2.3:8000``; without a path.
        model: The model's name on that server; the first one it lists when left out.
        api_key_file: File that holds the server's key, where it wants one.
    """

    recipe_version = "1"

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        threads: int,  # noqa: ARG002 - the other machine has its own
        device: str = "cpu",  # noqa: ARG002
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if folders:
            raise InputRejected(f"{_NAME} loads no model here; leave the role's models empty")
        chosen = dict(options or {})
        base_url = private_url(str(chosen.pop("base_url", "")))
        model, key_file = str(chosen.pop("model", "")), str(chosen.pop("api_key_file", ""))
        if chosen:
            raise InputRejected(
                f"{_NAME} does not know the options {sorted(chosen)}; it knows base_url, model and api_key_file"
            )
        headers = {"Authorization": f"Bearer {Path(key_file).read_text().strip()}"} if key_file else {}
        self._http = httpx.Client(
            base_url=base_url,
            headers=headers,
            timeout=httpx.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
            trust_env=False,
            follow_redirects=False,
        )
        try:
            entry = _entry(self._call("GET", "/v1/models")["data"], model)
            self._model = str(entry["id"])
            # vLLM lists a model's window with it; llama-server tells it elsewhere.
            self._is_llama_server = "max_model_len" not in entry
            self.context_tokens = int(entry.get("max_model_len") or self._window_of_llama_server())
        except BaseException:
            self._http.close()
            raise

    def generate(self, request: ChatRequest) -> Iterator[ChatDelta]:
        """Stream the answer; closing the iterator ends the request, and with it the server's generation."""
        prompt = self.prompt_token_ids(request.messages)
        context_check(len(prompt), request.max_tokens, self.context_tokens)
        return self._deltas(_body(request, self._model))

    def count_tokens(self, batch: Sequence[str]) -> Sequence[int]:
        """Count the tokens of each text, without special tokens."""
        return [len(self._tokens(text)) if text else 0 for text in batch]

    def prompt_token_ids(self, messages: Sequence[ChatMessage]) -> Sequence[int]:
        """Return the token ids that the server's chat template makes of a conversation."""
        inert = messages_inert(messages)
        if self._is_llama_server:
            rendered = self._call("POST", "/apply-template", {"messages": inert})["prompt"]
            body = {"content": rendered, "add_special": True, "parse_special": True}
        else:
            body = {"model": self._model, "messages": inert, "add_generation_prompt": True}
        return [int(token) for token in self._call("POST", "/tokenize", body)["tokens"]]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _tokens(self, text: str) -> Sequence[int]:
        clean = text.encode("utf-8", "replace").decode("utf-8")
        if self._is_llama_server:
            body: dict[str, Any] = {"content": clean, "add_special": False, "parse_special": False}
        else:
            body = {"model": self._model, "prompt": clean, "add_special_tokens": False}
        tokens: list[int] = self._call("POST", "/tokenize", body)["tokens"]
        return tokens

    def _window_of_llama_server(self) -> int:
        return int(self._call("GET", "/props")["default_generation_settings"]["n_ctx"])

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        with _connection_errors(self._http.base_url):
            response = self._http.request(method, path, json=body)
        if response.is_error or response.is_redirect:
            raise _refusal(response.status_code, response.text)
        return response.json()

    def _deltas(self, body: Mapping[str, Any]) -> Generator[ChatDelta, None, None]:
        finish_reason: Literal["stop", "length"] = "stop"
        with (
            _connection_errors(self._http.base_url),
            self._http.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            if response.is_error or response.is_redirect:
                raise _refusal(response.status_code, response.read().decode("utf-8", "replace"))
            for chunk in _events(response.iter_lines()):
                for choice in chunk.get("choices", ()):
                    if text := (choice.get("delta") or {}).get("content"):
                        yield ChatDelta(text=text)
                    if choice.get("finish_reason") == "length":
                        finish_reason = "length"
                if usage := chunk.get("usage"):
                    yield ChatDelta(
                        text="",
                        finish_reason=finish_reason,
                        prompt_tokens=usage["prompt_tokens"],
                        completion_tokens=usage["completion_tokens"],
                        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
                    )
                    return
        raise EngineBroken(f"{_NAME}: the server ended the answer without its token counts")


def private_url(text: str) -> str:
    """Return the address of a server if it is one of the private network or of this machine.

    Raises:
        InputRejected: It is a name, a public address, or has a path.
    """
    try:
        url = httpx.URL(text)
        address = ipaddress.ip_address(url.host)
    except (httpx.InvalidURL, ValueError) as error:
        raise InputRejected(
            f"base_url is '{text}'; give http:// and the number of one machine of the private network, such as"
            " http://10.1.2.3:8000"
        ) from error
    if url.scheme not in ("http", "https") or url.path not in ("", "/") or url.query:
        raise InputRejected(f"base_url is '{text}'; give scheme, address and port alone")
    if not (address.is_private or address.is_loopback) or address.is_unspecified:
        raise InputRejected(f"base_url is '{text}': {address} is no address of a private network")
    return str(url)


def _entry(listed: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any]:
    for entry in listed:
        if wanted in ("", entry["id"]):
            return entry
    offered = ", ".join(str(entry["id"]) for entry in listed) or "no model"
    raise EngineUnavailable(f"the server offers {offered}, not '{wanted or 'any model'}'")


def _body(request: ChatRequest, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": messages_inert(request.messages),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if stop := [text for text in request.stop if text]:
        body["stop"] = stop
    if request.json_schema is not None:
        schema = {"name": "answer", "schema": request.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _events(lines: Iterator[str]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        chunk = json.loads(data)
        if "error" in chunk:
            raise EngineBroken(f"{_NAME}: {str(chunk['error'])[:_SHOWN_CHARS]}")
        yield chunk


def _refusal(status: int, text: str) -> Exception:
    message = f"{_NAME}: the server answered {status}: {text[:_SHOWN_CHARS]}"
    if "exceed_context_size" in text or "maximum context length" in text:
        return ContextOverflow(message)
    if status in (429, 502, 503, 504):
        return EngineUnavailable(message)
    return EngineBroken(message)


@contextlib.contextmanager
def _connection_errors(base_url: httpx.URL) -> Iterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, PermissionError) as error:
        raise EngineUnavailable(f"{_NAME} cannot reach {base_url}: {error}") from error
    except httpx.HTTPError as error:
        raise EngineBroken(f"{_NAME}: the connection to {base_url} broke: {error!r}") from error
