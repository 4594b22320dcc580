#include <fstream>
#include <sstream>

#include "skerry/runtime/evaluate.hpp"
#include "skerry/runtime/quantize.hpp"

#include "temp_dir.hpp"
#include "worker_harness.hpp"

namespace skerry::runtime::test {
namespace {

using WorkerEvaluateTest = WorkerTest;

std::string read_all(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

UniqueFd create(const std::filesystem::path& path) {
  return UniqueFd{::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
}

TEST_F(WorkerEvaluateTest, CountsWhatMatches) {
  const auto model = load(null_spec());
  auto golden = parse_golden(
      "{\"prompt\":\"a\",\"expect\":\"a\"}\n"
      "{\"prompt\":\"b\",\"expect\":\"c\"}\n"
      "{\"prompt\":\"{\\\"x\\\":1,\\\"y\\\":2}\",\"expect\":{\"x\":1,\"y\":3}}\n");
  ASSERT_TRUE(golden);
  EvaluationOptions options;
  options.parallel = 2;
  const auto report = run(evaluate(*model, std::move(*golden), std::move(options)));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->cases, 3U);
  EXPECT_EQ(report->exact, 1U);
  EXPECT_EQ(report->field_correct.at("x"), 1U);
  EXPECT_EQ(report->field_correct.at("y"), 0U);
  EXPECT_EQ(report->mismatches.size(), 2U);
  EXPECT_GT(report->peak_resident_bytes, 0U);
}

TEST_F(WorkerEvaluateTest, GivesUpWhenToldTo) {
  const auto model = load(null_spec({{"answer", "wrong"}}));
  auto golden =
      parse_golden("{\"prompt\":\"a\",\"expect\":\"a\"}\n{\"prompt\":\"b\",\"expect\":\"b\"}\n");
  EvaluationOptions options;
  options.give_up_after = 1;
  const auto report = run(evaluate(*model, std::move(*golden), std::move(options)));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), Error::Code::kGateFailed);
}

TEST_F(WorkerEvaluateTest, ACrashFailsTheEvaluation) {
  const auto model = load(null_spec({{"fault", "abort"}}));
  auto golden = parse_golden("{\"prompt\":\"a\",\"expect\":\"a\"}\n");
  const auto report = run(evaluate(*model, std::move(*golden), {}));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), Error::Code::kWorkerLost);
}

TEST_F(WorkerEvaluateTest, TensorSetsAreComparedByClass) {
  const auto model = load(null_spec());
  // The null runtime echoes: the largest input is the class.
  auto golden = parse_golden(
      "{\"input\":\"x\",\"classes\":[\"a\",\"b\",\"c\"],\"shape\":[1,3],\"scale\":0.5,\"cases\":["
      "{\"expect\":\"b\",\"values\":[1,9,2]},{\"expect\":\"a\",\"values\":[1,9,2]}]}");
  ASSERT_TRUE(golden) << golden.error().to_string();
  const auto report = run(evaluate(*model, std::move(*golden), {}));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->exact, 1U);
  EXPECT_EQ(report->mismatches.at(0), "case 1: expected a, got class 1");
}

TEST_F(WorkerEvaluateTest, TheShippedGoldenSetPasses) {
  auto golden =
      parse_golden(read_all(std::string{SKERRY_TEST_MODELS} + "/log-triage/golden.jsonl"));
  ASSERT_TRUE(golden) << golden.error().to_string();
  ModelInfo info;
  EvaluationOptions options;
  options.parallel = 4;
  const auto report =
      evaluate_model(worker_options(), log_triage_spec(), std::move(*golden), options, &info);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->exact, report->cases)
      << (report->mismatches.empty() ? "" : report->mismatches.front());
  EXPECT_EQ(info.plugin, "llamacpp");
}

TEST_F(WorkerEvaluateTest, QuantizesThroughAWorker) {
  const skerry::test::TempDir folder;
  QuantizeJob job;
  job.plugin = "llamacpp";
  job.files.push_back(
      open_model(std::string{SKERRY_TEST_MODELS} + "/log-triage/log-triage-f16.gguf"));
  job.type = "q8_0";
  job.output = create(folder / "q8_0.gguf");
  float last = 0;
  job.progress = [&last](float fraction) { last = fraction; };
  const std::uint64_t before = job.files[0].length;
  const auto result = quantize_model(worker_options(), std::move(job));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_GT(result->bytes, before / 4);
  EXPECT_LT(result->bytes, before * 3 / 4);
  EXPECT_GT(last, 0.0F);

  LoadSpec spec = log_triage_spec();
  spec.files.clear();
  spec.files.push_back(open_model((folder / "q8_0.gguf").string()));
  EXPECT_NE(load(std::move(spec)), nullptr);
}

TEST_F(WorkerEvaluateTest, EveryOfferedTypeQuantizesAlikeTwice) {
  const skerry::test::TempDir folder;
  for (const std::string type : {"f16", "q6_k", "q4_k_m", "q4_0", "q2_k"}) {
    std::string bytes[2];
    for (int i = 0; i < 2; ++i) {
      const auto path = folder / (type + std::to_string(i));
      QuantizeJob job;
      job.plugin = "llamacpp";
      job.files.push_back(
          open_model(std::string{SKERRY_TEST_MODELS} + "/log-triage/log-triage-f16.gguf"));
      job.type = type;
      job.threads = static_cast<std::uint32_t>(i + 1);
      job.output = create(path);
      const auto result = quantize_model(worker_options(), std::move(job));
      ASSERT_TRUE(result) << type << ": " << result.error().to_string();
      bytes[i] = read_all(path.string());
    }
    EXPECT_EQ(bytes[0], bytes[1]) << type;
  }
}

TEST_F(WorkerEvaluateTest, UnknownQuantizationTypeListsTheKnown) {
  const skerry::test::TempDir folder;
  QuantizeJob job;
  job.plugin = "llamacpp";
  job.files.push_back(
      open_model(std::string{SKERRY_TEST_MODELS} + "/log-triage/log-triage-f16.gguf"));
  job.type = "q99";
  job.output = create(folder / "out");
  const auto result = quantize_model(worker_options(), std::move(job));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Error::Code::kInvalidArgument);
  EXPECT_NE(result.error().message().find("q4_k_m"), std::string::npos);
}

TEST_F(WorkerEvaluateTest, QuantizingGarbageIsAnErrorOfTheModel) {
  const skerry::test::TempDir folder;
  QuantizeJob job;
  job.plugin = "llamacpp";
  job.files.push_back(open_model(SKERRY_TEST_WORKER));
  job.type = "q8_0";
  job.output = create(folder / "out");
  const auto result = quantize_model(worker_options(), std::move(job));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Error::Code::kModelLoad) << result.error().to_string();
}

}  // namespace
}  // namespace skerry::runtime::test
