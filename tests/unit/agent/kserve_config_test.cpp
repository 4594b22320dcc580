#include "grpc/kserve_config.hpp"

#include <chrono>

#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

runtime::ModelInfo tensor_model() {
  runtime::ModelInfo info;
  info.plugin = "onnx";
  info.architecture = "ort";
  info.can_infer = true;
  info.inputs = {{"window", runtime::DataType::kFp32, {-1, 3, 256}}};
  info.outputs = {{"label", runtime::DataType::kBytes, {-1, 1}}};
  return info;
}

TEST(KserveConfig, TellsTensorsWithTheirWholeShapes) {
  ::inference::ModelConfig config;
  fill_config(tensor_model(), &config);
  EXPECT_EQ(config.platform(), "onnx_ort");
  EXPECT_EQ(config.backend(), "onnx");
  EXPECT_EQ(config.max_batch_size(), 0);
  ASSERT_EQ(config.input_size(), 1);
  EXPECT_EQ(config.input(0).name(), "window");
  EXPECT_EQ(config.input(0).data_type(), ::inference::TYPE_FP32);
  ASSERT_EQ(config.input(0).dims_size(), 3);
  EXPECT_EQ(config.input(0).dims(0), -1);
  EXPECT_EQ(config.input(0).dims(2), 256);
  ASSERT_EQ(config.output_size(), 1);
  EXPECT_EQ(config.output(0).data_type(), ::inference::TYPE_STRING);
  EXPECT_FALSE(config.model_transaction_policy().decoupled());
}

TEST(KserveConfig, HasTritonsNumberForEveryDataType) {
  for (int value = 1; value <= 14; ++value) {
    runtime::ModelInfo info;
    info.inputs = {{"x", static_cast<runtime::DataType>(value), {1}}};
    ::inference::ModelConfig config;
    fill_config(info, &config);
    EXPECT_EQ(static_cast<int>(config.input(0).data_type()), value);
  }
}

TEST(KserveConfig, ATextModelIsDecoupledAndTakesTextInput) {
  runtime::ModelInfo info;
  info.plugin = "llamacpp";
  info.architecture = "llama";
  info.can_generate = true;
  ::inference::ModelConfig config;
  fill_config(info, &config);
  EXPECT_TRUE(config.model_transaction_policy().decoupled());
  ASSERT_EQ(config.input_size(), 4);
  EXPECT_EQ(config.input(0).name(), "text_input");
  EXPECT_FALSE(config.input(0).optional());
  for (int i = 1; i < config.input_size(); ++i) {
    EXPECT_TRUE(config.input(i).optional()) << config.input(i).name();
  }
  ASSERT_EQ(config.output_size(), 1);
  EXPECT_EQ(config.output(0).name(), "text_output");
  EXPECT_EQ(config.output(0).data_type(), ::inference::TYPE_STRING);
}

TEST(KserveStatistics, AreWhatIsMeasuredAndNothingElse) {
  ModelMetrics figures;
  figures.success["stop"] = 2;
  figures.success["done"] = 1;
  figures.failure["invalid_argument"] = 4;
  figures.latency.observe(std::chrono::milliseconds{250});
  figures.latency.observe(std::chrono::milliseconds{250});
  figures.queue.observe(std::chrono::milliseconds{125});
  figures.inference.observe(std::chrono::milliseconds{500});
  ::inference::ModelStatistics statistics;
  fill_statistics(figures, &statistics);
  EXPECT_EQ(statistics.inference_count(), 3U);
  EXPECT_EQ(statistics.execution_count(), 0U);
  EXPECT_EQ(statistics.last_inference(), 0U);
  const ::inference::InferStatistics& stats = statistics.inference_stats();
  EXPECT_EQ(stats.success().count(), 2U);
  EXPECT_EQ(stats.success().ns(), 500'000'000U);
  EXPECT_EQ(stats.fail().count(), 4U);
  EXPECT_EQ(stats.fail().ns(), 0U);
  EXPECT_EQ(stats.queue().count(), 1U);
  EXPECT_EQ(stats.queue().ns(), 125'000'000U);
  EXPECT_EQ(stats.compute_infer().ns(), 500'000'000U);
  EXPECT_FALSE(stats.has_compute_input());
  EXPECT_FALSE(stats.has_compute_output());
}

}  // namespace
}  // namespace skerry::agent
