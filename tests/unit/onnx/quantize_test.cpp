#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/common/random.hpp"
#include "skerry/registry/onnx_check.hpp"
#include "skerry/runtime/onnx_quantize.hpp"

#include "memory_file.hpp"
#include "onnx_bytes.hpp"
#include "plugin_under_test.hpp"

namespace skerry::runtime {
namespace {

using ::testing::HasSubstr;
using namespace test;  // NOLINT(google-build-using-namespace): builders

constexpr std::size_t kWindow = 128;

std::vector<float> noise(FakeRandom& random, std::size_t count, float amplitude) {
  std::vector<float> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back((static_cast<float>(random.below(20001)) / 10000.0F - 1.0F) * amplitude);
  }
  return out;
}

Proto ints(std::string_view name, const std::vector<std::int64_t>& values) {
  Proto attribute = Proto{}.bytes(1, name);
  for (const auto value : values) {
    attribute.varint(8, static_cast<std::uint64_t>(value));
  }
  return Proto{}.message(5, attribute.varint(20, 7));
}

Proto weights(std::string_view name, const std::vector<std::int64_t>& dims, FakeRandom& random) {
  std::size_t count = 1;
  for (const auto dim : dims) {
    count *= static_cast<std::size_t>(dim);
  }
  const float fan_in = static_cast<float>(count) / static_cast<float>(dims.front());
  return onnx_tensor(
      name, dims, 1, float_bytes(noise(random, count, 1.7F / std::sqrt(std::max(fan_in, 1.0F)))));
}

// Conv, Relu, MaxPool, Conv, Relu, GlobalAveragePool, Flatten, Gemm, Softmax over [N, 1, 128].
Proto net_graph() {
  FakeRandom random{7};
  Proto conv1 = ints("kernel_shape", {7});
  conv1.raw(ints("pads", {3, 3}).str());
  Proto pool = ints("kernel_shape", {4});
  pool.raw(ints("strides", {4}).str());
  return Proto{}
      .bytes(2, "net")
      .message(1, onnx_node("Conv", {"window", "w1", "b1"}, {"c1"}, conv1))
      .message(1, onnx_node("Relu", {"c1"}, {"r1"}))
      .message(1, onnx_node("MaxPool", {"r1"}, {"p1"}, pool))
      .message(1, onnx_node("Conv", {"p1", "w2", "b2"}, {"c2"}, ints("kernel_shape", {5})))
      .message(1, onnx_node("Relu", {"c2"}, {"r2"}))
      .message(1, onnx_node("GlobalAveragePool", {"r2"}, {"g"}))
      .message(1, onnx_node("Flatten", {"g"}, {"f"}))
      .message(1, onnx_node("Gemm", {"f", "w3", "b3"}, {"logits"}))
      .message(1, onnx_node("Softmax", {"logits"}, {"probabilities"}))
      .message(5, weights("w1", {16, 1, 7}, random))
      .message(5, weights("b1", {16}, random))
      .message(5, weights("w2", {32, 16, 5}, random))
      .message(5, weights("b2", {32}, random))
      .message(5, weights("w3", {32, 4}, random))
      .message(5, weights("b3", {4}, random))
      .message(11, onnx_value("window", 1, {-1, 1, kWindow}))
      .message(12, onnx_value("probabilities", 1, {-1, 4}));
}

// Sines of several frequencies with noise.
std::string windows(std::size_t count, std::uint64_t seed) {
  FakeRandom random{seed};
  std::vector<float> values;
  for (std::size_t w = 0; w < count; ++w) {
    const float frequency = 0.05F + 0.11F * static_cast<float>(random.below(10));
    const auto extra = noise(random, kWindow, 0.3F);
    for (std::size_t i = 0; i < kWindow; ++i) {
      values.push_back(2.0F * std::sin(frequency * static_cast<float>(i)) + extra[i]);
    }
  }
  return float_bytes(values);
}

Result<std::string> quantize(const std::string& model,
                             const std::string& calibration,
                             const OnnxQuantizeOptions& options = {}) {
  return quantize_onnx(
      std::as_bytes(std::span{model}), std::as_bytes(std::span{calibration}), options);
}

registry::OnnxSummary summary_of(const std::string& model) {
  MemoryFile file{model};
  auto summary = registry::check_onnx(file);
  EXPECT_TRUE(summary) << summary.error().to_string();
  return summary ? *summary : registry::OnnxSummary{};
}

// Runs `input` (batch × rest) and returns the only output.
std::vector<float> answers(const std::string& model,
                           const std::string& input_name,
                           std::vector<std::int64_t> shape,
                           const std::string& data,
                           const std::string& optimization = "all") {
  PluginUnderTest plugin;
  PluginUnderTest::LoadOptions options;
  options.options = {{"optimization", optimization}};
  const Outcome loaded = plugin.load({{"m", "model", model}}, options);
  EXPECT_EQ(loaded.status, std::uint32_t{SKERRY_OK}) << loaded.message;
  const Outcome ran = plugin.run({{input_name, SKERRY_TYPE_FP32, std::move(shape), data}});
  EXPECT_EQ(ran.status, std::uint32_t{SKERRY_OK}) << ran.message;
  std::vector<float> values(plugin.outputs.at(0).data.size() / sizeof(float));
  std::memcpy(values.data(), plugin.outputs.at(0).data.data(), values.size() * sizeof(float));
  return values;
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float largest = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

TEST(OnnxQuantize, KeepsAnswersAndSavesSpace) {
  const std::string model = onnx_model(net_graph());
  const auto quantized = quantize(model, windows(32, 1));
  ASSERT_TRUE(quantized) << quantized.error().to_string();
  EXPECT_LT(quantized->size(), model.size() * 6 / 10);
  const std::string data = windows(50, 2);
  const std::vector<std::int64_t> shape{50, 1, kWindow};
  const auto exact = answers(model, "window", shape, data);
  EXPECT_LT(largest_difference(exact, answers(*quantized, "window", shape, data)), 0.02F);
  // The engine's integer operators say the same as the float operators around the pairs.
  EXPECT_LT(largest_difference(exact, answers(*quantized, "window", shape, data, "off")), 0.02F);
}

TEST(OnnxQuantize, QuantizesWhatFeedsIntegerOperatorsOnly) {
  const auto quantized = quantize(onnx_model(net_graph()), windows(8, 1));
  ASSERT_TRUE(quantized) << quantized.error().to_string();
  const auto summary = summary_of(*quantized);
  EXPECT_TRUE(summary.quantized);
  // window, r1, p1, r2, g, f; not c1, c2 (a Relu follows) nor logits (Softmax is float).
  EXPECT_EQ(summary.operators.at("QuantizeLinear"), 6U);
  // Those and three weights with three biases.
  EXPECT_EQ(summary.operators.at("DequantizeLinear"), 12U);
  EXPECT_EQ(summary.inputs.at(0).name, "window");
  EXPECT_EQ(summary.outputs.at(0).name, "probabilities");
}

TEST(OnnxQuantize, GivesTheSameBytesEachTime) {
  const std::string model = onnx_model(net_graph());
  const std::string data = windows(16, 3);
  OnnxQuantizeOptions one_by_one;
  one_by_one.batch = 1;
  const auto first = quantize(model, data);
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, *quantize(model, data));
  EXPECT_EQ(*first, *quantize(model, data, one_by_one));
}

TEST(OnnxQuantize, TakesAddAndMatMul) {
  FakeRandom random{5};
  const Proto graph = Proto{}
                          .bytes(2, "residual")
                          .message(1, onnx_node("MatMul", {"x", "w1"}, {"h"}))
                          .message(1, onnx_node("Relu", {"h"}, {"r"}))
                          .message(1, onnx_node("Add", {"r", "x"}, {"s"}))
                          .message(1, onnx_node("MatMul", {"s", "w2"}, {"y"}))
                          .message(5, weights("w1", {8, 8}, random))
                          .message(5, weights("w2", {8, 2}, random))
                          .message(11, onnx_value("x", 1, {-1, 8}))
                          .message(12, onnx_value("y", 1, {-1, 2}));
  const std::string model = onnx_model(graph);
  const std::string data = float_bytes(noise(random, 8 * 64, 1.0F));
  const auto quantized = quantize(model, data);
  ASSERT_TRUE(quantized) << quantized.error().to_string();
  EXPECT_EQ(summary_of(*quantized).operators.at("QuantizeLinear"), 3U);  // x, r, s
  const auto exact = answers(model, "x", {64, 8}, data);
  EXPECT_LT(largest_difference(exact, answers(*quantized, "x", {64, 8}, data)), 0.15F);
}

TEST(OnnxQuantize, SharesAConstantBetweenNodesAndKeepsFloatUses) {
  FakeRandom random{6};
  const Proto graph = Proto{}
                          .bytes(2, "shared")
                          .message(1, onnx_node("MatMul", {"x", "w"}, {"h"}))
                          .message(1, onnx_node("MatMul", {"h", "w"}, {"i"}))
                          .message(1, onnx_node("Mul", {"i", "w"}, {"y"}))
                          .message(5, weights("w", {4, 4}, random))
                          .message(11, onnx_value("x", 1, {4, 4}))
                          .message(12, onnx_value("y", 1, {4, 4}));
  const std::string model = onnx_model(graph);
  const std::string data = float_bytes(noise(random, 4 * 4 * 3, 1.0F));
  const auto quantized = quantize(model, data);
  ASSERT_TRUE(quantized) << quantized.error().to_string();
  const std::string one = data.substr(0, 64);
  EXPECT_LT(
      largest_difference(answers(model, "x", {4, 4}, one), answers(*quantized, "x", {4, 4}, one)),
      0.1F);
}

TEST(OnnxQuantize, SaysWhatIsWrong) {
  const std::string model = onnx_model(net_graph());
  const std::string data = windows(2, 1);
  const auto expect =
      [](const Result<std::string>& result, Error::Code code, std::string_view message) {
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code(), code) << result.error().to_string();
        EXPECT_THAT(result.error().message(), HasSubstr(message));
      };
  constexpr auto kModel = Error::Code::kModelLoad;
  constexpr auto kData = Error::Code::kInvalidArgument;
  expect(quantize("nonsense", data), kModel, "not a model");
  expect(quantize(model, ""), kData, "0 bytes are no whole number of windows of 128");
  expect(quantize(model, data.substr(4)), kData, "no whole number of windows");
  expect(quantize(model, data.substr(512) + float_bytes({std::nanf("")}) + data.substr(0, 508)),
         kData,
         "value 128 is not a finite number");
  const auto again = quantize(model, data);
  ASSERT_TRUE(again);
  expect(quantize(*again, data), kModel, "already quantized");
  const Proto plain = Proto{}
                          .bytes(2, "g")
                          .message(1, onnx_node("Relu", {"x"}, {"y"}))
                          .message(11, onnx_value("x", 1, {1}))
                          .message(12, onnx_value("y", 1, {1}));
  expect(quantize(onnx_model(plain), data), kModel, "nothing to quantize");
  const Proto two = net_graph().message(11, onnx_value("other", 1, {1}));
  expect(quantize(onnx_model(two), data), kModel, "more than one input ('window', 'other')");
  const Proto open = Proto{}
                         .bytes(2, "g")
                         .message(1, onnx_node("MatMul", {"x", "w"}, {"y"}))
                         .message(5, onnx_tensor("w", {1, 1}, 1, float_bytes({1})))
                         .message(11, onnx_value("x", 1, {1, -1}))
                         .message(12, onnx_value("y", 1, {1, 1}));
  expect(quantize(onnx_model(open), data), kModel, "dimension 1 of input 'x' is not fixed");
  const Proto fixed = Proto{}
                          .bytes(2, "g")
                          .message(1, onnx_node("MatMul", {"x", "w"}, {"y"}))
                          .message(5, onnx_tensor("w", {1, 1}, 1, float_bytes({1})))
                          .message(11, onnx_value("x", 1, {3, 1}))
                          .message(12, onnx_value("y", 1, {3, 1}));
  expect(
      quantize(onnx_model(fixed), float_bytes({1, 2})), kData, "no multiple of the model's batch");
  const std::string old =
      Proto{}.varint(1, 7).message(7, net_graph()).message(8, onnx_opset("", 12)).str();
  expect(quantize(old, data), kModel, "convert the model to opset 13");
  OnnxQuantizeOptions stop;
  stop.progress = [](float) { return false; };
  expect(quantize(model, data, stop), Error::Code::kCancelled, "cancelled");
}

TEST(OnnxQuantize, SurvivesADeadChannelAndASilentInput) {
  const Proto graph = Proto{}
                          .bytes(2, "g")
                          .message(1, onnx_node("Gemm", {"x", "w", "b"}, {"y"}))
                          .message(5, onnx_tensor("w", {2, 2}, 1, float_bytes({0, 1, 0, -1})))
                          .message(5, onnx_tensor("b", {2}, 1, float_bytes({3.5F, -1})))
                          .message(11, onnx_value("x", 1, {-1, 2}))
                          .message(12, onnx_value("y", 1, {-1, 2}));
  const std::string model = onnx_model(graph);
  for (const float amplitude : {0.0F, 1.0F}) {
    const std::string data = float_bytes({amplitude, 0, 0, amplitude});
    const auto quantized = quantize(model, data);
    ASSERT_TRUE(quantized) << quantized.error().to_string();
    EXPECT_LT(largest_difference(answers(model, "x", {2, 2}, data),
                                 answers(*quantized, "x", {2, 2}, data)),
              0.02F);
  }
}

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The example model that is in the repository, with its own calibration data and held-out windows.
TEST(OnnxQuantize, KeepsTheExampleModelsDecisions) {
  const std::filesystem::path folder = SKERRY_TEST_VIBRATION;
  const std::string model = read(folder / "vibration-f32.onnx");
  const auto quantized = quantize(model, read(folder / "calibration.bin"));
  ASSERT_TRUE(quantized) << quantized.error().to_string();
  EXPECT_LT(quantized->size(), model.size() * 4 / 10);
  const std::string raw = read(folder / "eval.bin");
  constexpr std::size_t kLength = 1024;
  const std::size_t count = raw.size() / (2 * kLength);
  ASSERT_GE(count, 100U);
  std::vector<float> values;
  for (std::size_t i = 0; i < count * kLength; ++i) {
    std::int16_t sample = 0;
    std::memcpy(&sample, raw.data() + 2 * i, sizeof sample);
    values.push_back(static_cast<float>(sample) * 0.0005F);
  }
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(count), 1, kLength};
  const auto exact = answers(model, "window", shape, float_bytes(values));
  const auto rounded = answers(*quantized, "window", shape, float_bytes(values));
  std::size_t same = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto best = [i](const std::vector<float>& all) {
      const auto row = all.begin() + static_cast<std::ptrdiff_t>(4 * i);
      return std::max_element(row, row + 4) - row;
    };
    same += best(exact) == best(rounded) ? 1U : 0U;
  }
  RecordProperty("same_decisions", std::to_string(same) + "/" + std::to_string(count));
  EXPECT_GE(same * 100, count * 97) << same << " of " << count;
}

TEST(OnnxQuantizeTool, WorksThroughThePlugin) {
  PluginUnderTest plugin;
  const std::string model = onnx_model(net_graph());
  const std::string data = windows(8, 1);
  const MemoryFd model_fd{model};
  const MemoryFd data_fd{data};
  const MemoryFd output_fd{""};
  const auto describe = [](const MemoryFd& fd, const std::string& name, std::size_t length) {
    skerry_file file{};
    file.size = sizeof file;
    file.name = abi(name);
    file.role = abi("model");
    file.fd = fd.get();
    file.length = length;
    return file;
  };
  const std::string model_name = "m.onnx";
  const skerry_file model_file = describe(model_fd, model_name, model.size());
  const skerry_file data_file = describe(data_fd, model_name, data.size());
  skerry_model_source source{};
  source.size = sizeof source;
  source.files = &model_file;
  source.file_count = 1;
  float last = 0;
  skerry_quantize_request request{};
  request.size = sizeof request;
  request.source = &source;
  request.type = abi("int8-qdq");
  request.output_fd = output_fd.get();
  request.data = &data_file;
  request.progress_ctx = &last;
  request.progress = [](void* ctx, float fraction) {
    *static_cast<float*>(ctx) = fraction;
    return 0;
  };
  skerry_error error{};
  ASSERT_EQ(plugin.table->tools->quantize(plugin.runtime, &request, &error), SKERRY_OK)
      << error.message;
  EXPECT_EQ(last, 1.0F);
  const auto expected = quantize(model, data);
  std::string written(expected->size() + 1, '\0');
  const ssize_t got = pread(output_fd.get(), written.data(), written.size(), 0);
  ASSERT_EQ(got, static_cast<ssize_t>(expected->size()));
  written.resize(expected->size());
  EXPECT_EQ(written, *expected);

  request.type = abi("q4_k_m");
  EXPECT_EQ(plugin.table->tools->quantize(plugin.runtime, &request, &error),
            std::uint32_t{SKERRY_E_INVALID});
  EXPECT_THAT(error.message, HasSubstr("not to 'q4_k_m'"));
  request.type = abi("int8-qdq");
  request.data = nullptr;
  EXPECT_EQ(plugin.table->tools->quantize(plugin.runtime, &request, &error),
            std::uint32_t{SKERRY_E_INVALID});
  EXPECT_THAT(error.message, HasSubstr("needs calibration data"));
}

}  // namespace
}  // namespace skerry::runtime
