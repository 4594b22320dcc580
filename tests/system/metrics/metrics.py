"""Checks the /metrics pages of a running gateway, and the dashboard against them.

usage: metrics.py TEST PROMETHEUS_PAGE OPENMETRICS_PAGE (with their response heads beside them, as PAGE.head)
"""

import json
import re
import sys

TEST, PROMETHEUS, OPENMETRICS = sys.argv[1:4]
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def samples(page):
    """(name, labels, value) of every sample."""
    for line in page.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            yield name, dict(LABEL.findall(labels or "")), float(value)


def families(page):
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))


def value(page, wanted, **labels):
    found = [v for name, has, v in samples(page) if name == wanted and labels.items() <= has.items()]
    assert found, f"no sample {wanted} {labels}"
    return sum(found)


def formats():
    """Content types; OpenMetrics ends as it must and announces counters without _total."""
    assert "text/plain; version=0.0.4" in text(PROMETHEUS + ".head")
    assert "application/openmetrics-text; version=1.0.0" in text(OPENMETRICS + ".head")
    assert text(OPENMETRICS).endswith("# EOF\n") and "# EOF" not in text(PROMETHEUS)
    plain, open_metrics = families(text(PROMETHEUS)), families(text(OPENMETRICS))
    assert {re.sub("_total$", "", name): kind for name, kind in plain.items()} == open_metrics
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in plain.items())


def documented():
    """docs/metrics.md has each name with its type, and none that is not exported."""
    rows = re.findall(r"^\| (`.*`) \| (gauge|counter|histogram) \|", text("docs/metrics.md"), re.MULTILINE)
    page = {name: kind for names, kind in rows for name in re.findall(r"`([^`]+)`", names)}
    assert page == families(text(PROMETHEUS)), set(page.items()) ^ set(families(text(PROMETHEUS)).items())


def counted():
    """Four answers of the model that repeats: their tokens, reasons and times."""
    page, model = text(PROMETHEUS), {"model_name": "acme/echo"}
    assert value(page, "vllm:request_success_total", finished_reason="stop", **model) >= 3
    assert value(page, "vllm:request_success_total", finished_reason="length", **model) == 1
    answered = value(page, "vllm:request_success_total", **model)
    assert value(page, "vllm:generation_tokens_total", **model) >= 3 * 12 + 2
    assert value(page, "vllm:num_requests_running") == value(page, "vllm:num_requests_waiting") == 0
    for name in ("time_to_first_token", "e2e_request_latency", "request_queue_time", "request_prefill_time", "request_decode_time",
                 "request_inference_time"):
        assert value(page, f"vllm:{name}_seconds_count", **model) == answered, name
        assert value(page, f"vllm:{name}_seconds_bucket", le="+Inf", **model) == answered, name
    assert value(page, "vllm:request_prompt_tokens_sum", **model) == value(page, "vllm:prompt_tokens_total", **model)
    # One millisecond per token at least, and as the worker and the daemon saw it.
    tokens = value(page, "vllm:inter_token_latency_seconds_count", **model)
    assert tokens >= 3 * 11, tokens
    assert value(page, "vllm:inter_token_latency_seconds_sum", **model) >= tokens * 0.0005
    decode = value(page, "vllm:request_decode_time_seconds_sum", **model)
    assert 0.03 <= decode < value(page, "vllm:e2e_request_latency_seconds_sum", **model), decode
    allowed = {"model_name", "finished_reason", "code", "le", "endpoint", "tier", "outcome"}
    assert {label for _, labels, _ in samples(page) for label in labels} <= allowed


def check_panel(panel, ids):
    assert panel["id"] not in ids, f"panel id {panel['id']} twice"
    ids.add(panel["id"])
    assert panel["title"] and panel["type"] in ("row", "timeseries", "stat")
    box = panel["gridPos"]
    assert box["x"] >= 0 and box["w"] > 0 and box["x"] + box["w"] <= 24 and box["h"] > 0, panel["title"]
    if panel["type"] != "row":
        assert panel["targets"] and panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def overlaps(one, other):
    a, b = one["gridPos"], other["gridPos"]
    return a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]


def dashboard():
    """The shape that Grafana imports, and nothing asked for that a gateway does not export (nor left out)."""
    board = json.loads(text("deploy/grafana/skerry.json"))
    assert board["title"] and board["uid"] and board["schemaVersion"] >= 36 and board["time"]["from"]
    variables = {v["name"]: v for v in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    ids = set()
    for number, panel in enumerate(board["panels"]):
        check_panel(panel, ids)
        for other in board["panels"][:number]:
            assert not overlaps(panel, other), f"{panel['title']} lies over {other['title']}"
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    queries += [v["definition"] for v in variables.values() if v["type"] == "query"]
    used = set(re.findall(r"\b(?:vllm:|skerry_)[a-zA-Z0-9_]+", " ".join(queries)))
    exported = {name for name, _, _ in samples(text(PROMETHEUS))} | set(families(text(PROMETHEUS)))
    assert used <= exported, f"not exported: {used - exported}"
    for name in families(text(PROMETHEUS)):
        assert any(one.startswith(name) for one in used), f"no panel shows {name}"
    for query in queries:
        assert query.count("(") == query.count(")") and query.count("{") == query.count("}"), query
        assert set(re.findall(r"\$(\w+)", query)) <= {"model_name", "instance", "__rate_interval", "__range"}, query
        labels = set(re.findall(r"(\w+)=~", query))
        assert labels <= {"model_name", "instance"}, query


def readers():
    """prometheus_client's own parsers, the strict one for OpenMetrics."""
    from prometheus_client.openmetrics import parser as strict
    from prometheus_client.parser import text_string_to_metric_families as lenient

    assert len(list(strict.text_string_to_metric_families(text(OPENMETRICS)))) == len(families(text(OPENMETRICS)))
    assert len(list(lenient(text(PROMETHEUS)))) == len(families(text(PROMETHEUS)))


{test.__name__: test for test in (formats, documented, counted, dashboard, readers)}[TEST]()
