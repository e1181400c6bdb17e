"""What an answer must look like: the seeds' forms of `response_format`, and the check at the end. Rows D8, D9, D10."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import httpx
import pytest
import typing_extensions
from pydantic import BaseModel

from agent_runtime import virtual
from agent_runtime.chat import ChatContext
from agent_runtime.errors import APIError, JSONSchemaValidationError, UsageError
from agent_runtime.llm import ChatChunk, ChoiceDelta, CollectedResponse, FunctionToolCall
from agent_runtime.providers.http.exchange import Answer, Request
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.remote import Asked, RemoteLLM
from agent_runtime.providers.schemas import ResponseSchema, response_schema

SERVICE = Service("gemini", "gemini-1.5-pro", secrets=["sk-secret"])

RECIPES = {
    "type": "array",
    "items": {"type": "object", "properties": {"recipe_name": {"type": "string"}}, "required": ["recipe_name"]},
}


class Weather(BaseModel):
    """The weather of a place."""

    city: str
    degrees: float = 20.0
    sky: Literal["clear", "cloudy"] | None = None


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Inner(TypedDict):
    n: int


class Outer(TypedDict):
    inner: Annotated[Inner, "one"]
    more: NotRequired[list[Inner]]
    either: Inner | None


class Nested(TypedDict):
    inside: "list[Nested]"


class Partial(TypedDict, total=False):
    a: int


class Extended(typing_extensions.TypedDict):
    a: int


def of(response_format: Any) -> ResponseSchema:
    found = response_schema(response_format)
    assert found is not None
    return found


class TestForms:
    def test_d8_a_pydantic_model(self) -> None:
        found = of(Weather)
        assert (found.name, found.strict, found.enforce) == ("Weather", True, False)
        assert found.openai() == {
            "type": "json_schema",
            "json_schema": {
                "name": "Weather",
                "description": "The weather of a place.",
                "strict": True,
                "schema": {
                    "type": "object",
                    "description": "The weather of a place.",
                    "properties": {
                        "city": {"type": "string"},
                        "degrees": {"type": "number"},
                        "sky": {"type": ["string", "null"], "enum": ["clear", "cloudy", None]},
                    },
                    "required": ["city", "degrees", "sky"],
                    "additionalProperties": False,
                },
            },
        }

    @pytest.mark.parametrize(
        ("kind", "fits", "does_not"),
        [
            (Outer, {"inner": {"n": 1}, "either": None}, {"inner": {"n": "1"}, "either": None}),
            (
                Outer,
                {"inner": {"n": 1}, "more": [{"n": 2}], "either": {"n": 3}},
                {"inner": {"n": 1}, "more": [{}], "either": None},
            ),
            (Partial, {}, {"a": "x"}),
            (Extended, {"a": 1}, {}),
            (Point, {"x": 1}, {"y": 1}),
            (Weather, {"city": "Rome"}, {"city": "Rome", "sky": "green"}),
        ],
    )
    def test_typed_dicts_and_dataclasses(self, kind: Any, fits: Any, does_not: Any) -> None:
        found = dataclasses.replace(of(kind), enforce=True)
        assert (found.name, found.strict) == (kind.__name__, True)
        found.check(json.dumps(fits), SERVICE)
        with pytest.raises(JSONSchemaValidationError):
            found.check(json.dumps(does_not), SERVICE)

    def test_a_type_that_strict_cannot_say_is_sent_as_it_is(self) -> None:
        class Free(BaseModel):
            counts: dict[str, int]

        found = of(Free)
        assert not found.strict
        assert found.sent == found.schema
        assert found.openai()["json_schema"]["strict"] is False

    def test_a_schema_written_for_the_service_is_sent_as_it_stands(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}
        written = {"type": "json_schema", "json_schema": {"name": "mine", "schema": schema, "strict": True}}
        assert of(written).openai() == written
        assert of({"type": "json_schema", "json_schema": {"schema": schema}}).openai() == {
            "type": "json_schema",
            "json_schema": {"name": "response", "schema": schema, "strict": False},
        }

    def test_d8_the_seeds_json_object_with_a_schema(self) -> None:
        found = of({"type": "json_object", "response_schema": RECIPES})
        assert (found.schema, found.strict, found.enforce) == (RECIPES, False, False)
        assert of({"type": "json_object", "response_schema": Weather}).name == "Weather"

    def test_d10_json_mode(self) -> None:
        found = of({"type": "json_object"})
        assert (found.schema, found.enforce) == (None, False)
        assert found.openai() == {"type": "json_object"}

    def test_a_plain_schema(self) -> None:
        found = of({"title": "My place!", "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
        assert (found.name, found.strict) == ("My_place", True)
        assert found.openai()["json_schema"]["schema"]["additionalProperties"] is False

    @pytest.mark.parametrize("nothing", [None, {"type": "text"}])
    def test_any_text(self, nothing: Any) -> None:
        assert response_schema(nothing) is None

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ("json", "response_format is 'json', which describes no answer; give a pydantic model"),
            (Weather(city="Rome"), "describes no answer.*the class, not an object"),
            (int, "response_format is int, which describes no answer"),
            ({"type": "jsonobject"}, "is {'type': 'jsonobject'}, which is no JSON schema; give"),
            ({"schema": {}}, "no JSON schema"),
            ({}, "response_format is {}, which is no JSON schema"),
            ([], "response_format is \\[\\], which describes no answer"),
            ("", "response_format is '', which describes no answer"),
            (
                {
                    "type": "json_schema",
                    "json_schema": {"schema": {"type": "object", "properties": {"a": {"type": "int"}}}},
                },
                "'a' has the type 'int', which is none of array, boolean, integer",
            ),
            (
                {"type": "object", "properties": {"a": {"$ref": "#/$defs/Gone"}}},
                "'a' refers to '#/.defs/Gone', which is not",
            ),
            ({"type": "json_schema"}, "json_schema=None; it needs {'name'"),
            ({"type": "json_schema", "json_schema": {"name": "a"}}, "it needs {'name'"),
            ({"type": "json_object", "response_schema": 5}, "response_format is 5, which describes no answer"),
            (
                {"type": "json_object", "enforce_validation": "yes"},
                "enforce_validation in response_format is 'yes'; it is True or",
            ),
        ],
    )
    def test_what_is_none_of_these_is_told_with_the_fix(self, wrong: Any, told: str) -> None:
        with pytest.raises(UsageError, match=told):
            response_schema(wrong)

    @pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic reads it there")
    def test_a_typed_dict_that_holds_itself_says_what_to_import(self) -> None:
        with pytest.raises(UsageError, match=r"TypedDict Nested, which holds itself; .* from typing_extensions"):
            response_schema(Nested)

    def test_a_type_without_json_names_the_type(self) -> None:
        class Odd(BaseModel):
            model_config = {"arbitrary_types_allowed": True}
            it: httpx.Response

        with pytest.raises(
            UsageError, match=r"response_format Odd has no JSON schema \(.*Response.*\); change that field"
        ):
            response_schema(Odd)


class TestCheck:
    def enforced(self, schema: Any = RECIPES) -> ResponseSchema:
        return of({"type": "json_object", "response_schema": schema, "enforce_validation": True})

    def test_d9_an_answer_that_fits_passes(self) -> None:
        self.enforced().check('[{"recipe_name": "Pie"}]', SERVICE)

    def test_d9_one_that_does_not_has_the_answer_and_the_schema(self) -> None:
        with pytest.raises(JSONSchemaValidationError) as caught:
            self.enforced().check('[{"recipe": "Pie"}]', SERVICE)
        error = caught.value
        assert isinstance(error, APIError)
        assert (error.raw_response, error.schema) == ('[{"recipe": "Pie"}]', RECIPES)
        assert (error.provider, error.model, error.fault, error.retryable) == (
            "gemini",
            "gemini-1.5-pro",
            "answer",
            False,
        )
        assert str(error) == (
            "The answer of gemini/gemini-1.5-pro does not fit its schema: at '[0]' 'recipe_name' is a required property. "
            'The answer was [{"recipe": "Pie"}]; the schema is '
            '{"type":"array","items":{"type":"object","properties":{"recipe_name":{"type":"string"}},'
            '"required":["recipe_name"]}}.'
        )

    @pytest.mark.parametrize("text", ["", "Here you are: []", '[{"recipe_name": "Pi', "```json\n[]\n```"])
    def test_d9_what_is_no_json_does_not_fit(self, text: str) -> None:
        with pytest.raises(JSONSchemaValidationError, match="it is no JSON"):
            self.enforced().check(text, SERVICE)

    def test_json_mode_can_be_enforced_too(self) -> None:
        found = of({"type": "json_object", "enforce_validation": True})
        found.check('{"anything": 1}', SERVICE)
        with pytest.raises(JSONSchemaValidationError):
            found.check("nothing", SERVICE)

    def test_what_is_not_to_be_enforced_is_not(self) -> None:
        of({"type": "json_object", "response_schema": RECIPES}).check("nonsense", SERVICE)

    def test_a_long_answer_is_cut_in_the_message_alone(self) -> None:
        text = json.dumps([{"recipe": "sk-secret " * 1000}])
        with pytest.raises(JSONSchemaValidationError) as caught:
            self.enforced().check(text, SERVICE)
        assert len(str(caught.value)) < 2000
        assert "sk-secret" not in str(caught.value)
        assert caught.value.raw_response == text

    def test_a_schema_that_is_none_is_told_before_anything_is_sent(self) -> None:
        with pytest.raises(
            UsageError, match="The schema in response_format is no JSON schema: 'a' has the type 'strin'"
        ):
            self.enforced({"type": "object", "properties": {"a": {"type": "strin"}}})

    @pytest.mark.parametrize("reference", ["https://example.com/schema.json", "other.json"])
    def test_a_reference_out_of_the_schema_is_told_and_not_fetched(self, reference: str) -> None:
        with pytest.raises(
            UsageError, match=f"response_format refers to '{reference}', which is not in it".replace("$", ".")
        ):
            self.enforced({"type": "object", "properties": {"a": {"anyOf": [{"$ref": reference}]}}})

    def test_without_jsonschema_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "jsonschema", None)
        with pytest.raises(
            UsageError, match=r"needs the package 'jsonschema'; install it with `pip install 'agent-runtime\[v"
        ):
            self.enforced()
        of({"type": "json_object", "response_schema": RECIPES})  # what is not checked needs nothing


class Pieces(Answer[ChatChunk]):
    def feed(self, payload: bytes) -> Sequence[ChatChunk]:
        text = payload.decode()
        if text == "call":
            return [ChatChunk("1", ChoiceDelta(tool_calls=[FunctionToolCall("f", "{}", "c1")]))]
        return [ChatChunk("1", ChoiceDelta(content=text))]

    def end(self) -> Sequence[ChatChunk]:
        return ()


class PiecesLLM(RemoteLLM):
    async def request(self, asked: Asked) -> Request:
        return Request.of_json("https://api.test/v1", {}, {})

    def answer(self, asked: Asked) -> Answer[ChatChunk]:
        return Pieces()


class TestStream:
    def ask(self, pieces: Sequence[str], response_format: Any) -> tuple[list[str], CollectedResponse | Exception]:
        """What came piece by piece, and the whole answer or the error."""
        body = "".join(f"data: {piece}\n\n" for piece in pieces)
        came: list[str] = []
        self.requests = 0

        def answer(request: httpx.Request) -> httpx.Response:
            self.requests += 1
            return httpx.Response(200, stream=httpx.ByteStream(body.encode()))

        async def main() -> Any:
            llm = PiecesLLM(SERVICE, transport=httpx.MockTransport(answer))
            try:
                stream = llm.chat(chat_ctx=ChatContext(), response_format=response_format)
                async for text in stream.to_str_iterable():
                    came.append(text)  # noqa: PERF401  # what came before an error counts
                return await llm.chat(chat_ctx=ChatContext(), response_format=response_format).collect()
            except (APIError, UsageError) as error:
                return error
            finally:
                await llm.aclose()

        return came, virtual.run(main())

    ENFORCED = {"type": "json_object", "response_schema": RECIPES, "enforce_validation": True}  # noqa: RUF012

    def test_d9_streamed_json_that_does_not_fit_raises_after_the_last_piece(self) -> None:
        came, error = self.ask(['[{"recipe', '": "Pie"}]'], self.ENFORCED)
        assert "".join(came) == '[{"recipe": "Pie"}]'
        assert isinstance(error, JSONSchemaValidationError)
        assert error.raw_response == '[{"recipe": "Pie"}]'
        assert self.requests == 1  # and it is not asked for again

    def test_d9_streamed_json_that_fits(self) -> None:
        _, whole = self.ask(['[{"recipe_', 'name": "Pie"}]'], self.ENFORCED)
        assert isinstance(whole, CollectedResponse)
        assert json.loads(whole.text) == [{"recipe_name": "Pie"}]

    def test_d9_without_enforcement_anything_passes(self) -> None:
        _, whole = self.ask(["no"], {**self.ENFORCED, "enforce_validation": False})
        assert isinstance(whole, CollectedResponse)

    def test_a_call_of_a_tool_is_no_answer_yet(self) -> None:
        _, whole = self.ask(["call"], self.ENFORCED)
        assert isinstance(whole, CollectedResponse)
        assert len(whole.tool_calls) == 1

    def test_a_format_that_cannot_be_checked_is_told_before_anything_is_sent(self) -> None:
        _, error = self.ask(["x"], {**self.ENFORCED, "response_schema": {"type": "strin"}})
        assert isinstance(error, UsageError)
        assert self.requests == 0
