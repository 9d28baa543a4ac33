"""The HTTP server, over a predictor of arrays."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterator, List

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from mindspore_rec.config import ConfigError
from mindspore_rec.serve_config import ServeConfig
from mindspore_rec.serving.http_limits import InFlight
from mindspore_rec.serving.server import create_app
from tests.serving.array_predictor import ArrayPredictor, probability, version_of

PREDICT = "/v1/models/criteo:predict"
TOKEN = {"Authorization": "Token s3cret/Token"}  # of no known scheme
ROWS: List[Any] = ["1\t2\t3", ["4", 5, None], {"a": 1, "c": 2.5}]
NUMBERS = [[1, 2, 3], [4, 5, 0], [1, 0, 2.5]]
EXPECTED = [[probability(numbers, 12)] for numbers in NUMBERS]


@pytest.fixture
def predictor() -> ArrayPredictor:
    return ArrayPredictor()


@pytest.fixture
def client(predictor: ArrayPredictor) -> Iterator[TestClient]:
    with client_of(predictor) as client:
        yield client


def client_of(predictor: ArrayPredictor, routes: Any = (), **keys: Any) -> TestClient:
    return TestClient(create_app(predictor, ServeConfig(**keys), routes), raise_server_exceptions=False)


def held(client: TestClient, predictor: ArrayPredictor, pool: ThreadPoolExecutor) -> Any:
    """A request that is being computed until `predictor.go` is set."""
    answer = pool.submit(client.post, PREDICT, json={"instances": ["hold"]})
    assert predictor.holding.wait(60)
    return answer


def until_waiting(client: TestClient, rows: int) -> None:
    """Until so many rows are in the queue."""
    while client.get("/v1/status").json()["waiting_rows"] != rows:
        pass


def test_rows_are_answered_as_tensorflow_serving_does(client: TestClient) -> None:
    answer = client.post(PREDICT, json={"signature_name": "serving_default", "instances": ROWS})
    assert answer.status_code == 200
    body = answer.json()
    np.testing.assert_allclose(body.pop("predictions"), EXPECTED, rtol=1e-6)
    assert body == {"model_version": "12", "publication": version_of(12).identity}
    assert answer.headers["X-Model-Version"] == "12"
    assert answer.headers["content-type"] == "application/json"


def test_columns_are_answered_as_tensorflow_serving_does(client: TestClient, predictor: ArrayPredictor) -> None:
    body = client.post(PREDICT, json={"inputs": {"a": [1, 4], "b": [2, None], "c": [3, 0]}}).json()
    np.testing.assert_allclose(body["outputs"], [[probability(n, 12)] for n in ([1, 2, 3], [4, 0, 0])], rtol=1e-6)
    assert predictor.batches == [[{"a": 1, "b": 2, "c": 3}, {"a": 4, "b": None, "c": 0}]]
    assert client.post(PREDICT, json={"inputs": ROWS}).json()["outputs"] == body["outputs"][:0] + [
        [pytest.approx(*row, rel=1e-6)] for row in EXPECTED
    ]


def test_several_outputs_have_their_names() -> None:
    with client_of(ArrayPredictor(outputs=("probability", "logit"))) as client:
        by_row = client.post(PREDICT, json={"instances": ROWS[:2]}).json()["predictions"]
        by_column = client.post(PREDICT, json={"inputs": ROWS[:2]}).json()["outputs"]
    assert by_row == [{"probability": p, "logit": q} for p, q in zip(by_column["probability"], by_column["logit"])]
    np.testing.assert_allclose(by_column["logit"], np.array(EXPECTED[:2]) + 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "the body is not JSON: "),
        (b"\xff\xfe", 400, "the body is not JSON: "),
        (b"[" * 100000, 400, "the body is not JSON: "),
        (b"[]", 400, 'expected an object with either "instances" or "inputs"'),
        (b'{"instances": [], "inputs": []}', 400, 'expected an object with either "instances" or "inputs"'),
        (b'{"instances": ["1"], "rows": 1}', 400, "unknown key 'rows': expected signature_name, instances or inputs"),
        (b'{"instances": ["1"], "signature_name": "x"}', 400, "signature_name 'x': expected serving_default"),
        (b'{"instances": ["1"], "signature_name": {}}', 400, "signature_name {}: expected serving_default"),
        (b'{"instances": {"a": [1]}}', 400, "instances: expected a list"),
        (b'{"inputs": "1"}', 400, "inputs: expected a list or an object of lists"),
        (b'{"instances": []}', 400, "no rows: expected at least one"),
        (b'{"inputs": {}}', 400, "no rows: expected at least one"),
        (b'{"inputs": {"a": 1}}', 400, "inputs 'a': expected a list with a value a row"),
        (b'{"inputs": {"a": [1], "b": []}}', 400, "inputs 'b': 0 values, expected 1 as in the others"),
    ],
)
def test_what_is_no_request_is_told_in_json(client: TestClient, body: bytes, status: int, message: str) -> None:
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == status
    assert answer.json().keys() == {"error"}
    assert answer.json()["error"].startswith(message)


@pytest.mark.parametrize(
    ("rows", "row", "reason"),
    [
        (["1\t2", "1\t2\t3"], 0, "row 0: 2 fields, expected 3"),
        (["1\t2\t3", "1\t2"], 1, "row 1: 2 fields, expected 3"),
        (["1\t2\t3", "1\t2\t3", ["x", 1, 2]], 2, "row 2: could not convert string to float: 'x'"),
        (["1\t2\t3", 5], 1, "row 1: expected a TSV line, a list of its fields, or an object"),
    ],
)
def test_a_bad_row_is_named(client: TestClient, rows: List[Any], row: int, reason: str) -> None:
    answer = client.post(PREDICT, json={"instances": rows})
    assert (answer.status_code, answer.json()) == (400, {"error": reason, "row": row})


def test_a_bad_row_fails_only_its_request(client: TestClient, predictor: ArrayPredictor) -> None:
    with ThreadPoolExecutor(4) as pool:
        first = held(client, predictor, pool)
        bodies = ([ROWS[0]], ["1\t2\t3", "bad"], ROWS)
        answers = []
        for count, rows in zip((1, 3, 6), bodies):
            answers.append(pool.submit(client.post, PREDICT, json={"instances": rows}))
            until_waiting(client, count)
        predictor.go.set()
        statuses = [answer.result().status_code for answer in (first, *answers)]
        assert statuses == [200, 200, 400, 200]
        assert answers[1].result().json()["row"] == 1
        np.testing.assert_allclose(answers[2].result().json()["predictions"], EXPECTED, rtol=1e-6)
    assert [len(batch) for batch in predictor.batches] == [1, 6, 1, 2, 3]


def test_what_waits_is_computed_together_up_to_a_number_of_rows(predictor: ArrayPredictor) -> None:
    with client_of(predictor, max_batch_rows=4) as client, ThreadPoolExecutor(5) as pool:
        first = held(client, predictor, pool)
        answers = []
        for count, rows in zip((3, 4, 5, 10), (3, 1, 1, 5)):
            answers.append(
                pool.submit(client.post, PREDICT, json={"instances": [f"{rows}\t{k}\t0" for k in range(rows)]})
            )
            until_waiting(client, count)
        predictor.go.set()
        for rows, answer in zip((3, 1, 1, 5), answers):
            expected = [[probability([rows, k, 0], 12)] for k in range(rows)]
            np.testing.assert_allclose(answer.result().json()["predictions"], expected, rtol=1e-6)
        assert first.result().status_code == 200
    assert [len(batch) for batch in predictor.batches] == [1, 4, 1, 5]


def test_limits_of_size(predictor: ArrayPredictor) -> None:
    with client_of(predictor, max_rows=2, max_body=1024) as client:
        for body in ({"instances": ROWS}, {"inputs": {"a": [1, 2, 3]}}):
            answer = client.post(PREDICT, json=body)
            assert (answer.status_code, answer.json()["error"]) == (413, "3 rows: expected at most 2 in a request")
        large = b'{"instances": ["' + b" " * 1024 + b'"]}'
        chunks = (large[k : k + 100] for k in range(0, len(large), 100))
        for content in (large, chunks):
            answer = client.post(PREDICT, content=content)
            assert (answer.status_code, answer.json()["error"]) == (413, "the body is larger than 1024 bytes")
            assert answer.headers["connection"] == "close"
        answer = client.post(PREDICT, content=b"x", headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 415
    assert predictor.batches == []


def test_more_than_the_server_can_do_is_refused(predictor: ArrayPredictor) -> None:
    with client_of(predictor, max_queue_rows=4, max_requests=3) as client, ThreadPoolExecutor(4) as pool:
        first = held(client, predictor, pool)
        waiting = pool.submit(client.post, PREDICT, json={"instances": ROWS})
        until_waiting(client, 3)
        refused = client.post(PREDICT, json={"instances": ROWS})
        assert (refused.status_code, refused.json()) == (503, {"error": "overloaded: 3 rows wait"})
        assert refused.headers["retry-after"] == "1"
        last = pool.submit(client.post, PREDICT, json={"instances": ROWS[:1]})
        until_waiting(client, 4)
        refused = client.post(PREDICT, json={"instances": ROWS[:1]})
        assert (refused.status_code, refused.json()) == (503, {"error": "overloaded: 3 requests are being answered"})
        predictor.go.set()
        assert [answer.result().status_code for answer in (first, waiting, last)] == [200, 200, 200]
        assert client.post(PREDICT, json={"instances": ROWS}).status_code == 200


def test_a_request_is_given_up_in_time(predictor: ArrayPredictor) -> None:
    with client_of(predictor, request_seconds=0.05) as client, ThreadPoolExecutor(1) as pool:
        first = held(client, predictor, pool)
        answer = client.post(PREDICT, json={"instances": ROWS})
        assert (answer.status_code, answer.json()) == (504, {"error": "no answer within 0.05 s"})
        assert first.result().status_code == 504
        predictor.go.set()
        while predictor.holding.is_set():
            pass
        assert client.post(PREDICT, json={"instances": ROWS[:1]}).status_code == 200
    assert [len(batch) for batch in predictor.batches] == [1, 1], "what was given up is not computed"


def test_a_version_may_be_asked_for(client: TestClient, predictor: ArrayPredictor) -> None:
    assert client.post("/v1/models/criteo/versions/12:predict", json={"instances": ROWS}).status_code == 200
    for version in ("11", "x", "012"):
        answer = client.post(f"/v1/models/criteo/versions/{version}:predict", json={"instances": ROWS})
        assert (answer.status_code, answer.json()) == (
            404,
            {"error": f"version {version!r} is not served: expected 12"},
        )
    assert len(predictor.batches) == 1


def test_a_version_that_changes_under_way_is_not_passed_off_as_the_one_asked_for(
    client: TestClient, predictor: ArrayPredictor
) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = held(client, predictor, pool)
        path = "/v1/models/criteo/versions/12:predict"
        second = pool.submit(client.post, path, json={"instances": ROWS[:1]})
        until_waiting(client, 1)
        predictor.rollback(11)
        predictor.go.set()
        assert first.result().json()["model_version"] == "12"
        assert (second.result().status_code, second.result().json()["error"][-11:]) == (404, "expected 11")


def test_routes_that_are_not(client: TestClient) -> None:
    assert client.get("/nothing").json() == {"error": "/nothing: no such route"}
    answer = client.post("/v1/models/other:predict", json={"instances": ROWS})
    assert answer.status_code == 404
    assert answer.json()["error"].endswith("expected /v1/models/criteo or /v1/models/criteo:predict")
    answer = client.get(PREDICT)
    assert (answer.status_code, answer.json()) == (405, {"error": f"GET {PREDICT}: expected POST"})
    assert answer.headers["allow"] == "POST"


def test_status_of_the_model_is_that_of_tensorflow_serving(client: TestClient) -> None:
    expected = {"version": "12", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/criteo", "/v1/models/criteo/versions/12"):
        assert client.get(path).json() == {"model_version_status": [expected]}
    assert client.get("/v1/models/criteo/versions/11").status_code == 404


def test_before_the_first_version() -> None:
    predictor = ArrayPredictor(newest=0)
    with client_of(predictor) as client:
        for answer in (
            client.post(PREDICT, json={"instances": ROWS}),
            client.get("/readyz"),
            client.get("/v1/models/criteo"),
        ):
            assert (answer.status_code, answer.json()) == (503, {"error": "no version is served yet"})
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/status").json()["click_to_servable_p50_s"] is None
        predictor.newest = 1
        assert client.get("/v1/models/criteo").json()["model_version_status"][0]["state"] == "LOADING"
        predictor.follow()
        assert client.get("/readyz").json() == {"status": "ready", "version": 1}
        assert client.post(PREDICT, json={"instances": ROWS}).json()["model_version"] == "1"


def test_draining() -> None:
    in_flight = InFlight(8)
    predictor = ArrayPredictor()
    app = create_app(predictor, ServeConfig(), in_flight=in_flight)
    with TestClient(app) as client, ThreadPoolExecutor(1) as pool:
        first = held(client, predictor, pool)
        in_flight.drain(10)
        for answer in (client.get("/readyz"), client.post(PREDICT, json={"instances": ROWS})):
            assert (answer.status_code, answer.json()) == (503, {"error": "the server is stopping"})
            assert answer.headers["connection"] == "close"
        assert client.get("/healthz").status_code == 200
        predictor.go.set()
        assert (first.result().status_code, first.result().headers["connection"]) == (200, "close")


def test_a_bug_shows_the_client_nothing(client: TestClient, predictor: ArrayPredictor) -> None:
    predictor.outputs = 5  # type: ignore[assignment]
    answer = client.post(PREDICT, json={"instances": ROWS})
    assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})
    predictor.outputs = ("probability",)
    assert client.post(PREDICT, json={"instances": ROWS}).status_code == 200


def test_what_is_not_finite_is_null(client: TestClient) -> None:
    assert client.post(PREDICT, json={"instances": ["nan\t1\t1"]}).json()["predictions"] == [[None]]


def test_status_for_the_page(client: TestClient) -> None:
    client.post(PREDICT, json={"instances": ROWS})
    client.post(PREDICT, json={"instances": ["bad"]})
    status = client.get("/v1/status").json()
    requests = status.pop("requests")
    assert (requests["count"], requests["failed"]) == (2, 1)
    assert 0 < requests["p50_ms"] <= requests["p99_ms"]
    publications = status.pop("publications")
    assert publications[1] == {
        "version": 2, "kind": "delta", "created": 1e9 + 2, "data_time": None, "step": 200, "rows": 7,
        "held": "auc fell", "metrics": {"auc": 0.75}, "bytes": 0,
    }  # fmt: skip
    assert [publication["version"] for publication in publications] == list(range(1, 13))
    assert status == {
        "name": "criteo", "version": vars(version_of(12)), "loaded_at": 1_700_000_100.0, "following": True,
        "pinned": False, "newest": 12, "refused": "", "tables": {"deep": 7}, "click_to_servable_p50_s": 1.5,
        "click_to_servable_p99_s": 2.5, "waiting_rows": 0,
    }  # fmt: skip


def test_metrics(client: TestClient) -> None:
    client.post(PREDICT, json={"instances": ROWS})
    client.post(PREDICT, json={"instances": ["bad"]})
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["msrec_serve_requests_total", "200"] == samples["msrec_serve_requests_total", "400"] == 1
    assert samples["msrec_serve_request_seconds_count",] == 2
    assert samples["msrec_serve_rows_total",] == 3
    assert samples["msrec_serve_batch_rows_sum",] == 4
    assert samples["msrec_serve_version",] == samples["msrec_serve_newest_version",] == 12
    assert samples["msrec_serve_refused",] == 0
    assert samples["msrec_serve_click_to_servable_seconds", "0.99"] == 2.5
    assert samples["msrec_serve_table_rows", "deep"] == 7
    assert samples["msrec_serve_data_age_seconds",] > 0


def test_two_servers_in_a_process_have_their_own_metrics() -> None:
    for _ in range(2):
        with client_of(ArrayPredictor()) as client:
            assert "msrec_serve_rows_total 0.0" in client.get("/metrics").text


@pytest.fixture
def token(tmp_path: Any) -> str:
    (tmp_path / "token").write_text("s3cret/Token\n")
    return str(tmp_path / "token")


def bearer(token: str) -> Any:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_protects_all_but_health_and_the_page(predictor: ArrayPredictor, token: str) -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    with client_of(predictor, [Route("/", page)], token_file=token) as client:
        basic = base64.b64encode(b"me:s3cret/Token").decode()
        wrong = base64.b64encode(b"me:s3cret").decode()
        paths = ("/metrics", "/v1/status", "/v1/models/criteo", "/nothing", "/healthz/")
        for headers in ({}, bearer("s3cret"), bearer(""), bearer("s3cret/Tokén"), {"Authorization": f"Basic {wrong}"},
                        {"Authorization": "Basic !"}, {"Authorization": "s3cret/Token"}, TOKEN):  # fmt: skip
            for path in paths:
                answer = client.get(path, headers={k: v.encode("latin-1") for k, v in headers.items()})
                assert answer.status_code == 401, path
            answer = client.post(
                PREDICT, json={"instances": ROWS}, headers={k: v.encode("latin-1") for k, v in headers.items()}
            )
            assert (answer.status_code, answer.json()) == (
                401,
                {"error": "expected the header Authorization: Bearer TOKEN"},
            )
            assert "Bearer" in answer.headers["www-authenticate"]
        for headers in (bearer("s3cret/Token"), {"Authorization": f"Basic {basic}"}):
            assert client.get("/", headers=headers).text == "page"
            assert client.post(PREDICT, json={"instances": ROWS}, headers=headers).status_code == 200
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    assert len(predictor.batches) == 2


@pytest.mark.parametrize("content", [None, b"", b"\n", b"two words", b"caf\xc3\xa9", b"x" * 5000])
def test_a_token_file_has_a_token(tmp_path: Any, content: Any) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^token_file: .*token: (expected a token|No such file)"):
        client_of(ArrayPredictor(), token_file=str(tmp_path / "token"))


def test_rollback_and_follow(predictor: ArrayPredictor, token: str) -> None:
    with client_of(predictor, token_file=token) as client:
        client.headers.update(bearer("s3cret/Token"))
        assert client.post("/v1/rollback", json={"version": 9}).json() == {"version": 9, "following": False}
        assert client.post(PREDICT, json={"instances": ROWS}).json()["model_version"] == "9"
        status = client.get("/v1/status").json()
        assert (status["version"]["number"], status["following"]) == (9, False)
        answer = client.post("/v1/rollback", json={"version": 99})
        assert (answer.status_code, answer.json()) == (409, {"error": "there is no version 99"})
        for body in ({"version": "9"}, {"version": True}, {"version": 0}, {}, [], {"version": 9, "x": 1}):
            assert client.post("/v1/rollback", json=body).status_code == 400
        kind = {"Content-Type": "text/plain"}
        assert client.post("/v1/rollback", content=b'{"version": 8}', headers=kind).status_code == 415
        assert client.post("/v1/follow", headers=kind).status_code == 415
        assert predictor.served == version_of(9)
        assert client.post("/v1/follow", json={}).json() == {"following": True}
        assert client.get("/v1/status").json()["version"]["number"] == 12


def test_without_a_token_nobody_rolls_back(client: TestClient, predictor: ArrayPredictor) -> None:
    for path in ("/v1/rollback", "/v1/follow"):
        answer = client.post(path, json={"version": 1})
        assert (answer.status_code, answer.json()["error"]) == (
            403, f"{path} needs a token: start the server with --token_file FILE",
        )  # fmt: skip
    assert predictor.served == version_of(12)
