#include "skerry/agent/metrics.hpp"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using ::testing::HasSubstr;

TEST(Metrics, RendersCountersAndHistogramsPerModel) {
  Metrics metrics;
  ModelMetrics& model = metrics.model("acme/log-triage");
  model.success["stop"] = 2;
  model.failure["worker_lost"] = 1;
  model.prompt_tokens = 11;
  model.cache_queries = 11;
  model.cache_hits = 7;
  model.latency.observe(0.2);
  model.latency.observe(70);
  const std::string page = metrics.render(Gauges{});
  EXPECT_THAT(page,
              HasSubstr("skerry_request_success_total{model_name=\"acme/log-triage\","
                        "finished_reason=\"stop\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("code=\"worker_lost\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("skerry_prompt_tokens_total{model_name=\"acme/log-triage\"} 11\n"));
  EXPECT_THAT(page,
              HasSubstr("skerry_prefix_cache_queries_total{model_name=\"acme/log-triage\"} 11\n"));
  EXPECT_THAT(page,
              HasSubstr("skerry_prefix_cache_hits_total{model_name=\"acme/log-triage\"} 7\n"));
  EXPECT_THAT(page, HasSubstr("le=\"0.1\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("le=\"0.25\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("le=\"+Inf\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("skerry_e2e_request_latency_seconds_sum{model_name=\"acme/"));
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
  EXPECT_EQ(names, 31);
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

TEST(Metrics, ProcessUseIsReadFromTheKernel) {
  const ProcessUse use = process_use();
  EXPECT_GT(use.resident, 1U << 20U);
}

}  // namespace
}  // namespace skerry::agent
