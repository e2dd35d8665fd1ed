"""The exporter of OpenTelemetry's own SDK against a running service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

from tests.serving import TOKENS, Service, serving

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 5,
    "user.id": "alice",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("otlp")) as service:
        yield service


def exporter(service: Service, *, compression: Compression, user: str = "gateway") -> OTLPSpanExporter:
    return OTLPSpanExporter(
        endpoint=f"{service.url}/v1/traces",
        headers={"Authorization": f"Bearer {TOKENS[user]}"},
        compression=compression,
    )


def trace_calls(tracer: Tracer, model: str) -> None:
    """Trace a web request with an agent that calls twice, the second time in vain."""
    with tracer.start_as_current_span("POST /ask", kind=SpanKind.SERVER) as server:
        with tracer.start_as_current_span(
            "invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}
        ) as agent:
            with tracer.start_as_current_span("chat", attributes={**CALL, "gen_ai.request.model": model}):
                pass
            with (
                pytest.raises(TimeoutError),
                tracer.start_as_current_span(
                    "chat", attributes={"gen_ai.system": "openai", "gen_ai.request.model": model}
                ),
            ):
                raise TimeoutError("the upstream is silent")
            summed = {**CALL, "gen_ai.request.model": model, "gen_ai.operation.name": "invoke_agent"}
            agent.set_attributes(summed)
        server.set_attribute("error.type", "TimeoutError")


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip], ids=str)
def test_calls_are_stored_once_and_what_is_around_them_is_not(
    service: Service, compression: Compression
) -> None:
    model = f"model-{compression.name}"
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(BatchSpanProcessor(exporter(service, compression=compression)))
    trace_calls(provider.get_tracer("tests"), model)
    assert provider.force_flush()
    provider.shutdown()

    failed, good = service.get(f"/api/log/?model_name={model}")["items"]
    if failed["type"] == 2:
        failed, good = good, failed
    assert (good["type"], good["prompt_tokens"], good["completion_tokens"]) == (2, 10, 5)
    assert (good["username"], good["channel_name"]) == ("alice", "openai")
    assert '"service":"shop"' in good["other"]
    assert (failed["type"], failed["content"]) == (4, "TimeoutError: the upstream is silent")


def test_a_refused_span_is_told_to_the_exporter_and_costs_the_others_nothing(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter(service, compression=Compression.Gzip)))
    tracer = provider.get_tracer("tests")
    for tokens in (1, -1, 2):
        attributes: dict[str, Any] = {**CALL, "gen_ai.request.model": "partial"}
        tracer.start_span("chat", attributes=attributes | {"gen_ai.usage.input_tokens": tokens}).end()
    assert provider.force_flush()
    provider.shutdown()
    assert service.get("/api/log/stat?model_name=partial")["prompt_tokens"] == 3
    assert "exception" not in caplog.text.lower()


def test_an_exporter_that_may_not_post_gives_up(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    provider = TracerProvider()
    denied = exporter(service, compression=Compression.NoCompression, user="alice")
    provider.add_span_processor(BatchSpanProcessor(denied))
    provider.get_tracer("tests").start_span(
        "chat", attributes={**CALL, "gen_ai.request.model": "denied"}
    ).end()
    provider.shutdown()
    assert "403" in caplog.text
    assert service.get("/api/log/?model_name=denied")["total"] == 0
