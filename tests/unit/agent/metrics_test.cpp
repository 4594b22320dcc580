#include "skerry/agent/metrics.hpp"

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

TEST(Metrics, RendersCountersAndHistogramsPerModel) {
  Metrics metrics;
  ModelMetrics& model = metrics.model("acme/log-triage");
  model.success["stop"] = 2;
  model.failure["worker_lost"] = 1;
  model.prompt_tokens = 11;
  model.sought_tokens = 9;
  model.cached_tokens = 7;
  model.latency.observe(0.2);
  model.latency.observe(70);
  const std::string page = metrics.render(Gauges{});
  EXPECT_THAT(page,
              HasSubstr("vllm:request_success_total{model_name=\"acme/log-triage\","
                        "finished_reason=\"stop\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("code=\"worker_lost\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("vllm:prompt_tokens_total{model_name=\"acme/log-triage\"} 11\n"));
  EXPECT_THAT(page,
              HasSubstr("vllm:prefix_cache_queries_total{model_name=\"acme/log-triage\"} 9\n"))
      << "the others were embedded";
  EXPECT_THAT(page, HasSubstr("vllm:prefix_cache_hits_total{model_name=\"acme/log-triage\"} 7\n"));
  EXPECT_THAT(page, HasSubstr("le=\"0.1\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("le=\"0.3\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("le=\"+Inf\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("vllm:e2e_request_latency_seconds_sum{model_name=\"acme/"));
}

TEST(Metrics, EscapesLabelValues) {
  Metrics metrics;
  metrics.model("a\"b\\c\nd");
  EXPECT_THAT(metrics.render(Gauges{}), HasSubstr("model_name=\"a\\\"b\\\\c\\nd\""));
}

TEST(Metrics, BoundsTheNumberOfModels) {
  Metrics metrics;
  for (std::size_t i = 0; i < Metrics::kMaxModels + 50; ++i) {
    metrics.model("m" + std::to_string(i)).prompt_tokens = 1;
  }
  EXPECT_LE(metrics.models().size(), Metrics::kMaxModels + 1);
}

TEST(Metrics, EveryNameIsDocumented) {
  std::ifstream file{SKERRY_METRICS_DOC};
  std::stringstream text;
  text << file.rdbuf();
  std::istringstream page{Metrics{}.render(Gauges{})};
  std::string line;
  int names = 0;
  while (std::getline(page, line)) {
    if (line.starts_with("# TYPE ")) {
      const std::string name = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_THAT(text.str(), HasSubstr("`" + name + "`"));
      ++names;
    }
  }
  EXPECT_EQ(names, 54);
}

TEST(Metrics, UpstreamsShowTheirState) {
  Gauges gauges;
  gauges.upstreams.push_back({.endpoint = "gpu-box",
                              .tier = "site",
                              .up = true,
                              .running = 2,
                              .answered = 7,
                              .failed = 1});
  const std::string page = Metrics{}.render(gauges);
  const std::string labels = "{endpoint=\"gpu-box\",tier=\"site\"";
  EXPECT_THAT(page, HasSubstr("skerry_upstream_up" + labels + "} 1\n"));
  EXPECT_THAT(page, HasSubstr("skerry_upstream_requests_running" + labels + "} 2\n"));
  EXPECT_THAT(page,
              HasSubstr("skerry_upstream_requests_total" + labels + ",outcome=\"answered\"} 7\n"));
  EXPECT_THAT(page,
              HasSubstr("skerry_upstream_requests_total" + labels + ",outcome=\"failed\"} 1\n"));
  std::ifstream file{SKERRY_METRICS_DOC};
  std::stringstream text;
  text << file.rdbuf();
  for (const std::string_view name :
       {metric::kUpstreamUp, metric::kUpstreamRunning, metric::kUpstreamRequests}) {
    EXPECT_THAT(text.str(), HasSubstr("`" + std::string{name} + "`"));
  }
}

TEST(Metrics, WorkersShowTheirThreads) {
  Gauges gauges;
  gauges.workers.push_back(
      {.model = "acme/x", .threads = 1, .most_threads = 2, .other_cores = 0.95});
  Metrics metrics;
  metrics.count_over_quota();
  const std::string page = metrics.render(gauges);
  EXPECT_THAT(page, HasSubstr("skerry_worker_threads{model_name=\"acme/x\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("skerry_worker_threads_limit{model_name=\"acme/x\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("skerry_worker_other_cores{model_name=\"acme/x\"} 0.95\n"));
  EXPECT_THAT(page, HasSubstr("skerry_requests_over_quota_total 1\n"));
}

// What a strict reader of either format checks of a page, as far as ours can go wrong: every sample
// belongs to the family announced before it, families and samples come once, buckets rise to the
// count, lines have the shape `name{label="value",…} number`.
void expect_valid(const std::string& page, bool open_metrics) {
  static const std::regex kSample{
      R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="(\\[\\n"]|[^\\"\n])*"(,|(?=\})))+\})? ([-+0-9.e]+))re"};
  std::istringstream lines{page};
  std::set<std::string> families;
  std::set<std::string> samples;
  std::string family;
  std::string type;
  double bucket = 0;
  bool ended = false;
  for (std::string line; std::getline(lines, line);) {
    ASSERT_FALSE(ended) << "after the end: " << line;
    if (line == "# EOF") {
      ended = true;
      continue;
    }
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(family).second) << line;
      continue;
    }
    if (line.starts_with("# TYPE ")) {
      std::istringstream words{line.substr(7)};
      std::string name;
      words >> name >> type;
      EXPECT_EQ(name, family);
      EXPECT_EQ(name.ends_with("_total"), type == "counter" && !open_metrics) << line;
      continue;
    }
    std::smatch parts;
    ASSERT_TRUE(std::regex_match(line, parts, kSample)) << line;
    const std::string name = parts[1];
    EXPECT_TRUE(samples.insert(name + parts[2].str()).second) << "twice: " << line;
    const std::string ending = name.starts_with(family) ? name.substr(family.size()) : "?";
    if (type == "histogram") {
      EXPECT_THAT(ending, AnyOf("_bucket", "_sum", "_count")) << line;
      const double value = std::stod(parts[6]);
      if (ending == "_bucket") {
        EXPECT_GE(value, bucket) << line;
        bucket = value;
      } else if (ending == "_count") {
        EXPECT_EQ(value, bucket) << line;
        bucket = 0;
      }
    } else {
      EXPECT_EQ(ending, type == "counter" && open_metrics ? "_total" : "") << line;
    }
  }
  EXPECT_EQ(ended, open_metrics);
}

TEST(Metrics, IsValidInBothFormats) {
  Metrics metrics;
  for (const char* name : {"acme/a", "q\"uo\\te\nd"}) {
    ModelMetrics& model = metrics.model(name);
    model.success["stop"] = 3;
    model.success["abort"] = 1;
    model.failure["queue_full"] = 2;
    model.latency.observe(0.2);
    model.latency.observe(7000);
    model.first_token.observe(0.02);
    model.inter_token.observe(std::chrono::milliseconds{30}, 12);
    model.count_text({.prompt_tokens = 100,
                      .cached_tokens = 64,
                      .completion_tokens = 13,
                      .queue = std::chrono::milliseconds{1},
                      .prefill = std::chrono::milliseconds{40},
                      .decode = std::chrono::milliseconds{360}});
  }
  Gauges gauges;
  gauges.workers.push_back({.model = "acme/a", .threads = 1, .most_threads = 2});
  expect_valid(metrics.render(gauges), false);
  expect_valid(metrics.render(gauges, Metrics::Format::kOpenMetrics), true);
}

TEST(Metrics, GivesOpenMetricsToThoseWhoAskForIt) {
  using Format = Metrics::Format;
  EXPECT_EQ(Metrics::format_for("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
            Format::kOpenMetrics);
  EXPECT_EQ(Metrics::format_for("text/plain;version=0.0.4"), Format::kPrometheus);
  EXPECT_EQ(Metrics::format_for(""), Format::kPrometheus);
}

TEST(Metrics, CountsWhatTheWorkerSaysOfARequest) {
  ModelMetrics model;
  model.count_text({.prompt_tokens = 100,
                    .cached_tokens = 64,
                    .completion_tokens = 13,
                    .drafts = 3,
                    .draft_tokens = 9,
                    .accepted_tokens = 6,
                    .queue = std::chrono::milliseconds{1},
                    .prefill = std::chrono::milliseconds{40},
                    .decode = std::chrono::milliseconds{360}});
  EXPECT_EQ(model.drafts, 3U);
  EXPECT_EQ(model.draft_tokens, 9U);
  EXPECT_EQ(model.accepted_tokens, 6U);
  EXPECT_EQ(model.sought_tokens, 100U);
  EXPECT_EQ(model.cached_tokens, 64U);
  EXPECT_DOUBLE_EQ(model.inference.sum(), 0.4);
  EXPECT_DOUBLE_EQ(model.time_per_token.sum(), 0.03);
  model.count_text({.prompt_tokens = 1, .completion_tokens = 1});
  EXPECT_EQ(model.time_per_token.count(), 1U) << "one token has no time after the first";
  EXPECT_EQ(model.request_generation.count(), 2U);
}

TEST(Metrics, ARequestWaitsThenRunsThenIsGone) {
  ModelMetrics model;
  {
    InFlight first;
    first.run();
    EXPECT_EQ(model.running, 0U) << "nobody runs who did not wait";
    first.wait(model);
    InFlight second;
    second.wait(model);
    EXPECT_EQ(model.waiting, 2U);
    first.run();
    first.run();
    EXPECT_EQ(model.waiting, 1U);
    EXPECT_EQ(model.running, 1U);
    first.end();
    first.end();
    EXPECT_EQ(model.running, 0U);
  }
  EXPECT_EQ(model.waiting, 0U) << "a call that was given up is not left behind";
}

TEST(Metrics, ProcessUseIsReadFromTheKernel) {
  const ProcessUse use = process_use();
  EXPECT_GT(use.resident, 1U << 20U);
}

}  // namespace
}  // namespace skerry::agent
