// ONNX models in real workers: everything the engine does must fit the sandbox.

#include <cstring>
#include <fstream>
#include <iterator>

#include "skerry/runtime/evaluate.hpp"
#include "skerry/runtime/quantize.hpp"

#include "onnx_bytes.hpp"
#include "temp_dir.hpp"
#include "worker_harness.hpp"

namespace skerry::runtime::test {
namespace {

const std::string kVibration = std::string{SKERRY_TEST_MODELS} + "/vibration/";

std::string read(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>(in), {}};
}

LoadSpec onnx_spec(const std::string& path) {
  LoadSpec spec;
  spec.model = Digest::of(path);
  spec.plugin = "onnx";
  spec.threads = 2;
  spec.memory_limit = 512ULL << 20U;
  spec.files.push_back(open_model(path));
  return spec;
}

InferRequest window_of(const LoadedModel& model, std::int64_t batch) {
  InferRequest request;
  request.meta.id = RequestId{"r"};
  request.meta.principal = "uid:1";
  request.meta.model = model.info().digest;
  Tensor tensor;
  tensor.name = "window";
  tensor.shape = {batch, 1, 1024};
  tensor.data =
      read(kVibration + "calibration.bin").substr(0, static_cast<std::size_t>(batch) * 4096);
  request.inputs.push_back(std::move(tensor));
  return request;
}

QuantizeJob int8_job(const std::filesystem::path& output) {
  QuantizeJob job;
  job.plugin = "onnx";
  job.files.push_back(open_model(kVibration + "vibration-f32.onnx"));
  job.type = "int8-qdq";
  job.data = open_model(kVibration + "calibration.bin");
  job.data.role = "calibration";
  job.output = UniqueFd{::open(output.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
  return job;
}

using OnnxWorker = WorkerTest;

TEST_F(OnnxWorker, AnswersInsideTheSandbox) {
  const auto model = load(onnx_spec(kVibration + "vibration-f32.onnx"));
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->info().plugin, "onnx");
  ASSERT_EQ(model->info().inputs.size(), 1U);
  EXPECT_EQ(model->info().inputs[0].name, "window");
  const auto answer = run(infer(*model, window_of(*model, 3)));
  ASSERT_TRUE(answer) << answer.error().to_string();
  ASSERT_EQ(answer->outputs.size(), 1U);
  EXPECT_EQ(answer->outputs[0].shape, (std::vector<std::int64_t>{3, 4}));
  float sum = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    float value = 0;
    std::memcpy(&value, answer->outputs[0].data.data() + 4 * i, sizeof value);
    sum += value;
  }
  EXPECT_NEAR(sum, 1.0F, 1e-4F);
}

TEST_F(OnnxWorker, AWrongShapeIsTheCallersErrorAndTheWorkerLives) {
  const auto model = load(onnx_spec(kVibration + "vibration-f32.onnx"));
  ASSERT_NE(model, nullptr);
  auto wrong = window_of(*model, 1);
  wrong.inputs[0].shape = {1, 1, 512};
  wrong.inputs[0].data.resize(2048);
  const auto refused = run(infer(*model, std::move(wrong)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Error::Code::kInvalidArgument);
  EXPECT_NE(refused.error().message().find("input 'window' has the shape [1, 1, 512]"),
            std::string::npos)
      << refused.error().to_string();
  EXPECT_TRUE(run(infer(*model, window_of(*model, 1))));
  EXPECT_TRUE(exits_.empty());
}

TEST_F(OnnxWorker, QuantizesInAWorkerAndPassesTheGoldenSet) {
  const skerry::test::TempDir folder;
  const auto path = folder / "int8.onnx";
  const auto result = quantize_model(worker_options(), int8_job(path));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_LT(result->bytes, std::filesystem::file_size(kVibration + "vibration-f32.onnx") * 4 / 10);
  EXPECT_EQ(result->bytes, std::filesystem::file_size(path));
  for (const std::string& file : {kVibration + "vibration-f32.onnx", path.string()}) {
    auto golden = parse_golden(read(kVibration + "golden.json"));
    ASSERT_TRUE(golden) << golden.error().to_string();
    const auto report = evaluate_model(worker_options(), onnx_spec(file), std::move(*golden), {});
    ASSERT_TRUE(report) << file << ": " << report.error().to_string();
    EXPECT_EQ(report->exact, report->cases)
        << file << ": " << (report->mismatches.empty() ? "" : report->mismatches.front());
  }
}

TEST_F(OnnxWorker, GarbageIsAnErrorOfTheModel) {
  const auto error = load_error(onnx_spec(kVibration + "calibration.bin"));
  EXPECT_EQ(error.code(), Error::Code::kModelLoad) << error.to_string();
}

TEST_F(OnnxWorker, CalibrationDataThatDoesNotFitIsTheCallersError) {
  const skerry::test::TempDir folder;
  auto job = int8_job(folder / "out");
  job.data = open_model(kVibration + "golden.json");
  job.data.role = "calibration";
  const auto result = quantize_model(worker_options(), std::move(job));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Error::Code::kInvalidArgument) << result.error().to_string();
}

}  // namespace
}  // namespace skerry::runtime::test
