"""multipart/form-data as a stream of events, chunk by chunk as the body arrives; nothing is kept but one header.

Wraps python-multipart's push parser, which never sees more than the chunk at hand. Part headers are decoded as UTF-8
where they are that, as browsers and httpx send them. Knows nothing of files, limits or stores.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.errors import MalformedMultipart, UnsupportedMediaType


@dataclass(frozen=True)
class PartBegin:
    """A part begins; header names are in lower case."""

    headers: Mapping[str, str]

    @property
    def name(self) -> str | None:
        """The form field's name."""
        return self._disposition().get("name")

    @property
    def file_name(self) -> str | None:
        """The file name as the client gave it; never to be trusted."""
        return self._disposition().get("filename")

    @property
    def custom_id(self) -> str | None:
        """What the client calls the file, in a header of our own."""
        return self.headers.get("x-custom-id")

    def _disposition(self) -> dict[str, str]:
        _, options = parse_options_header(
            self.headers.get("content-disposition", "").encode().decode("latin-1")
        )
        return {_text(key): _text(value) for key, value in options.items()}


@dataclass(frozen=True)
class PartData:
    """Some bytes of the part that has begun."""

    data: bytes


@dataclass(frozen=True)
class PartEnd:
    """The part is complete."""


Event = PartBegin | PartData | PartEnd


class MultipartStream:
    """Feed it the body's chunks, get the events that each completes; `finish` says whether the body was whole."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise UnsupportedMediaType("send multipart/form-data with a boundary, one part `files` a file")
        self._events: list[Event] = []
        self._headers: dict[str, str] = {}
        self._name, self._value = bytearray(), bytearray()
        self._ended = False
        self._parser = _parser(boundary, self)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk brings.

        Raises:
            MalformedMultipart: what came is not the announced format.
        """
        self._events = []
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedMultipart(f"the body is not well-formed multipart/form-data: {error}") from error
        return self._events

    def finish(self) -> None:
        """Raise `MalformedMultipart` unless the closing boundary has come."""
        if not self._ended:
            raise MalformedMultipart("the body ends before its closing boundary; send what is missing again")

    def on_part_begin(self) -> None:
        """Called by the parser."""
        self._headers = {}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """Called by the parser."""
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """Called by the parser."""
        self._value += data[start:end]

    def on_header_end(self) -> None:
        """Called by the parser."""
        self._headers[_text(bytes(self._name)).lower()] = _text(bytes(self._value)).strip()
        self._name, self._value = bytearray(), bytearray()

    def on_headers_finished(self) -> None:
        """Called by the parser."""
        self._events.append(PartBegin(self._headers))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Called by the parser."""
        self._events.append(PartData(data[start:end]))

    def on_part_end(self) -> None:
        """Called by the parser."""
        self._events.append(PartEnd())

    def on_end(self) -> None:
        """Called by the parser."""
        self._ended = True


def _parser(boundary: bytes, stream: MultipartStream) -> MultipartParser:
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": stream.on_part_begin,
                "on_header_field": stream.on_header_field,
                "on_header_value": stream.on_header_value,
                "on_header_end": stream.on_header_end,
                "on_headers_finished": stream.on_headers_finished,
                "on_part_data": stream.on_part_data,
                "on_part_end": stream.on_part_end,
                "on_end": stream.on_end,
            },
        )
    except FormParserError as error:
        raise MalformedMultipart(f"the boundary cannot be used: {error}") from error


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
