"""`Signature`: from a call to the JSON object that travels, and back to keyword arguments (pure).

The function's parameters become one msgspec Struct. Its constructor binds arguments as Python does, its
encoder writes the JSON object and its decoder checks every type, all in C; the slow paths here find the words
for errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET

from taskflow.errors import InvalidArguments, InvalidSignature, PayloadTooLarge
from taskflow.message.argument_errors import binding_problem, decoding_problem
from taskflow.message.fidelity import CHECKED_ENCODER, CHECKED_GO_ENCODER, EQUALITY_ERRORS, loss
from taskflow.message.parameters import (
    Parameter,
    Parameters,
    UnresolvedAnnotation,
    holds_anything,
    read_parameters,
    resolve_type,
)
from taskflow.message.payload import (
    DECODING_ERRORS,
    ENCODING_ERRORS,
    EXACT_ENCODER,
    GO_ENCODER,
    encoding_problem,
    from_plain,
    holds_non_finite,
)

_Extra = Mapping[str, Any] | None
_FIELDS_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Signature:
    """How a task's function is called over the wire.

    Annotations that cannot be resolved when the task is declared (a class further down in the module) are
    looked up again at the first use.

    Example:
        >>> def resize(src: str, width: int = 800) -> None: ...
        >>> signature = Signature.of(resize)
        >>> signature.encode(("a.png",), {}, limit=None, name="resize")
        b'{"src":"a.png"}'
        >>> signature.decode(b'{"src":"a.png","width":100}')
        {'src': 'a.png', 'width': 100}
    """

    __slots__ = (
        "_compared",
        "_decode_extra",
        "_decode_struct",
        "_encoder",
        "_extra_compared",
        "_go_encoder",
        "_nothing_to_give",
        "_python_names",
        "_struct",
        "_typed",
        "parameters",
    )

    parameters: Parameters

    _NOTHING = b"{}"
    """No arguments."""
    _ENCODERS: tuple[Any, Any, Any, Any] = (EXACT_ENCODER, CHECKED_ENCODER, GO_ENCODER, CHECKED_GO_ENCODER)
    """Where all is annotated, and where it is not; the same for tasks with a lock."""
    _DECODER: Any = msgspec.json.Decoder

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._python_names = {p.wire_name: p.name for p in parameters.named}
        self._nothing_to_give = parameters.extra is None and not any(p.required for p in parameters.named)
        self._struct: Callable[..., Any] | None = None

    @classmethod
    def of(
        cls, function: Callable[..., Any], *, skip_first: bool = False, injected: frozenset[str] = frozenset()
    ) -> Signature:
        """Read a function once, when it becomes a task.

        Args:
            function: the task's function.
            skip_first: the first parameter gets the running task and does not travel (`bind=True`).
            injected: names of parameters that do not travel either: they are made where the task runs.

        Returns:
            Its signature.

        Raises:
            InvalidSignature: `*args`, a positional-only parameter, or a type that cannot travel as JSON.
        """
        signature = cls(read_parameters(function, skip_first=skip_first, injected=injected))
        # Perhaps it is defined later in the module: tried again at the first use.
        with suppress(UnresolvedAnnotation):
            signature._prepare()
        return signature

    # --- there ----------------------------------------------------------------------------------------------

    def encode(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        canonical: bool = False,
        limit: int | None,
        name: str,
    ) -> bytes:
        """Write a call's arguments as one JSON object. Defaults that were not given are not written.

        Args:
            args: positional arguments.
            kwargs: arguments by name.
            canonical: write as Go does, so that both languages name the same lock (tasks with `unique`).
            limit: the most bytes allowed, None for no limit.
            name: the task's name, for errors.

        Returns:
            The payload.

        Raises:
            InvalidArguments: one is missing, unknown or given twice, does not fit its annotation, is not for
                JSON, or would not arrive as it is sent. The text names the task and the argument, never its
                value.
            PayloadTooLarge: the payload is over the limit.
            InvalidSignature: an annotation cannot be resolved.
        """
        struct = self._struct or self._prepare_now()
        if not args and not kwargs and self._nothing_to_give:
            return self._NOTHING
        encoder = self._go_encoder if canonical else self._encoder
        data: bytes
        extra: _Extra = None
        given = kwargs
        if self.parameters.extra:
            extra = self._split_extra(args, kwargs, name)
            given = {key: value for key, value in kwargs.items() if key not in extra}
        try:
            bound = struct(*args, **given)
        except TypeError:
            problem = binding_problem(self.parameters, args, kwargs)
            raise InvalidArguments(f"task {name!r}: {problem}") from None
        try:
            data = encoder.encode(bound)
            if extra:
                data = _join(data, encoder.encode(extra))
        except ENCODING_ERRORS as error:
            self._fail_encoding(bound, extra, error, name)
        if b"null" in data:  # what msgspec writes for NaN, too
            self._refuse_non_finite(bound, extra, name)
        if limit is not None and len(data) > limit:
            raise PayloadTooLarge(name, len(data), limit)
        if self._typed:  # decode as the worker will: what does not fit fails here, at the caller
            try:
                arrived = self._decode_struct(data)
            except DECODING_ERRORS as error:
                raise InvalidArguments(
                    f"task {name!r}: {decoding_problem(error, self._python_names)}"
                ) from None
            try:
                if not self.parameters.extra and arrived == bound:  # nearly always
                    return data
            except EQUALITY_ERRORS:
                pass  # looked at one by one
            self._compare(data, bound, arrived, extra, name)
        return data

    def _compare(self, data: bytes, bound: Any, arrived: Any, extra: _Extra, name: str) -> None:
        """Refuse an argument that would not arrive as it is sent."""
        others = self._read_extra(data, name) if self.parameters.extra else {}
        given = self._given(bound, extra)
        values = {**_without_unset(msgspec.structs.asdict(arrived)), **others}
        for argument, value in given:
            untyped = self._compared.get(argument, self._extra_compared if argument in others else None)
            if untyped is not None:
                found = loss(value, values[argument], untyped=untyped)
                if found is not None:
                    raise InvalidArguments(f"task {name!r}: argument `{argument}{found.where}`: {found.why}")

    def _split_extra(self, args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Find the arguments that go to `**kwargs`, and refuse those that would be taken for a parameter."""
        named = self._python_names.values()
        extra = {key: value for key, value in kwargs.items() if key not in named}
        if self.parameters.given_by_taskflow in extra or not self.parameters.injected.isdisjoint(extra):
            raise InvalidArguments(f"task {name!r}: {binding_problem(self.parameters, args, kwargs)}")
        for key in extra:
            if key in self._python_names:
                raise InvalidArguments(f"task {name!r}: give `{key}` as `{self._python_names[key]}`")
        return extra

    def _fail_encoding(self, bound: Any, extra: _Extra, error: Exception, name: str) -> NoReturn:
        """Find the argument that cannot be encoded."""
        for argument, value in self._given(bound, extra):
            try:
                self._ENCODERS[3].encode(value)  # refuses all that the other one refuses
            except ENCODING_ERRORS as cause:
                problem = f"argument `{argument}`: {encoding_problem(cause)}"
                raise InvalidArguments(f"task {name!r}: {problem}") from None
        raise InvalidArguments(f"task {name!r}: {encoding_problem(error)}") from None

    def _refuse_non_finite(self, bound: Any, extra: _Extra, name: str) -> None:
        for argument, value in self._given(bound, extra):
            if holds_non_finite(value):
                problem = f"argument `{argument}`: JSON has no NaN and no infinity"
                raise InvalidArguments(f"task {name!r}: {problem}")

    def _given(self, bound: Any, extra: _Extra) -> list[tuple[str, Any]]:
        return [*_without_unset(msgspec.structs.asdict(bound)).items(), *(extra or {}).items()]

    # --- and back -------------------------------------------------------------------------------------------

    def decode(self, payload: bytes | None, *, name: str | None = None) -> dict[str, Any]:
        """Read the arguments that Python or Go wrote. What is absent and has a default stays absent.

        Args:
            payload: one JSON object; None, empty or `null`, as Go writes nil, is no arguments.
            name: the task's name, for errors; the function's own name when None.

        Returns:
            Keyword arguments for the function, converted to its annotations.

        Raises:
            InvalidArguments: no JSON object, or a field is missing, unknown or of the wrong type; it is
                named, its value is not.
            InvalidSignature: an annotation cannot be resolved.
        """
        if self._struct is None:
            self._prepare_now()
        if not payload or (len(payload) < 8 and payload.strip() in (b"null", b"{}")):
            if self._nothing_to_give:
                return {}
            payload = b"{}"
        return self._read(payload, {}, name or self.parameters.function_name)

    def _read(self, payload: bytes, names: Mapping[str, str], name: str) -> dict[str, Any]:
        try:
            arguments = _without_unset(msgspec.structs.asdict(self._decode_struct(payload)))
            if self.parameters.extra:
                arguments.update(self._read_extra(payload, name))
        except DECODING_ERRORS as error:
            raise InvalidArguments(f"task {name!r}: {decoding_problem(error, names)}") from None
        return arguments

    def _read_extra(self, payload: bytes, name: str) -> dict[str, Any]:
        """Decode the fields that have no parameter, for `**kwargs`."""
        given = (self.parameters.given_by_taskflow, *self.parameters.injected)
        taken = {*self._python_names.values(), *given}
        extra: dict[str, Any] = {}
        for key, raw in _FIELDS_DECODER.decode(payload).items():
            if key in self._python_names:
                continue
            if (
                key in taken
            ):  # such as "from_" beside a parameter `from_`: the function would be given the same name twice
                raise InvalidArguments(f"task {name!r}: unexpected argument `{key}`")
            try:
                extra[key] = self._decode_extra(raw)
            except msgspec.ValidationError as error:
                problem = decoding_problem(error, {}, inside=key)
                raise InvalidArguments(f"task {name!r}: {problem}") from None
        return extra

    # --- once -----------------------------------------------------------------------------------------------

    def _prepare_now(self) -> Callable[..., Any]:
        try:
            return self._prepare()
        except UnresolvedAnnotation as error:
            raise InvalidSignature(
                f"{error}; define or import it at the module's top level, not only under TYPE_CHECKING"
            ) from error

    def _prepare(self) -> type[msgspec.Struct]:
        """Resolve the annotations and make the struct and the decoders. Doing it twice is harmless."""
        parameters = self.parameters
        types = {p.name: resolve_type(p, parameters) for p in parameters.named}
        extra_type = resolve_type(parameters.extra, parameters) if parameters.extra else Any
        struct = _make_struct(parameters, types)
        self._decode_struct = self._DECODER(struct, dec_hook=from_plain).decode
        self._decode_extra = self._DECODER(extra_type, dec_hook=from_plain).decode
        self._typed = extra_type is not Any or any(type_ is not Any for type_ in types.values())
        self._compared = {name: holds_anything(type_) for name, type_ in types.items() if type_ is not Any}
        self._extra_compared = None if extra_type is Any else holds_anything(extra_type)
        all_typed = len(self._compared) == len(types) and not any(self._compared.values())
        if parameters.extra:
            all_typed = all_typed and self._extra_compared is False
        exact, checked, exact_go, checked_go = self._ENCODERS
        self._encoder = exact if all_typed else checked
        self._go_encoder = exact_go if all_typed else checked_go
        self._struct = struct  # set last: other threads take it as the sign that all of this is ready
        return struct

    def __repr__(self) -> str:
        return (
            f"Signature({self.parameters.function_name}: {', '.join(p.name for p in self.parameters.named)})"
        )


def _make_struct(parameters: Parameters, types: Mapping[str, Any]) -> type[msgspec.Struct]:
    """Make the struct whose fields are the parameters, keyword-only ones as such."""
    strict = parameters.extra is None
    rename = {p.name: p.wire_name for p in parameters.named}
    positional = [_field(p, types) for p in parameters.named if not p.keyword_only]
    struct = msgspec.defstruct("Arguments", positional, rename=rename, forbid_unknown_fields=strict)
    by_name = [_field(p, types) for p in parameters.named if p.keyword_only]
    if not by_name:
        return struct
    return msgspec.defstruct(
        "Arguments", by_name, bases=(struct,), rename=rename, kw_only=True, forbid_unknown_fields=strict
    )


def _field(parameter: Parameter, types: Mapping[str, Any]) -> tuple[str, Any] | tuple[str, Any, Any]:
    # UNSET is neither written nor ever read: it stands for "not given", and the function's default applies.
    type_ = types[parameter.name]
    return (parameter.name, type_) if parameter.required else (parameter.name, type_, UNSET)


def _without_unset(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not UNSET}


def _join(first: bytes, second: bytes) -> bytes:
    """Make one JSON object of two, the second not empty."""
    return second if first == b"{}" else first[:-1] + b"," + second[1:]
