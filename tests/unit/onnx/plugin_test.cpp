#include <cstring>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "onnx_bytes.hpp"
#include "onnx_engine_start.hpp"
#include "plugin_under_test.hpp"

namespace skerry::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<float> floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

TestTensor x(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  return {"x", SKERRY_TYPE_FP32, std::move(shape), float_bytes(values)};
}

// y = Identity(x) of an element type.
std::string identity_model(std::uint64_t type) {
  return onnx_model(Proto{}
                        .bytes(2, "g")
                        .message(1, onnx_node("Identity", {"x"}, {"y"}))
                        .message(11, onnx_value("x", type, {-1}))
                        .message(12, onnx_value("y", type, {-1})));
}

// Adds one to x as good as for ever.
std::string endless_model() {
  const std::string count("\x00\x00\x00\x00\x00\x00\x00\x40", 8);
  const Proto body = Proto{}
                         .bytes(2, "body")
                         .message(1, onnx_node("Identity", {"go"}, {"go_on"}))
                         .message(1, onnx_node("Add", {"v", "one"}, {"v_out"}))
                         .message(5, onnx_tensor("one", {1}, 1, float_bytes({1})))
                         .message(11, onnx_value("i", 7, {}))
                         .message(11, onnx_value("go", 9, {}))
                         .message(11, onnx_value("v", 1, {1}))
                         .message(12, onnx_value("go_on", 9, {}))
                         .message(12, onnx_value("v_out", 1, {1}));
  const Proto loop =
      onnx_node("Loop",
                {"count", "yes", "x"},
                {"y"},
                Proto{}.message(5, Proto{}.bytes(1, "body").message(6, body).varint(20, 5)));
  return onnx_model(Proto{}
                        .bytes(2, "g")
                        .message(1, loop)
                        .message(5, onnx_tensor("count", {}, 7, count))
                        .message(5, onnx_tensor("yes", {}, 9, "\x01"))
                        .message(11, onnx_value("x", 1, {1}))
                        .message(12, onnx_value("y", 1, {1})));
}

class OnnxPlugin : public ::testing::Test {
 protected:
  PluginUnderTest plugin;
};

TEST_F(OnnxPlugin, SpeaksOnlyItsOwnMajorVersion) {
  EXPECT_NE(plugin.table, nullptr);
  EXPECT_EQ(plugin.foreign, nullptr);
  EXPECT_EQ(plugin.table->step, nullptr);
}

TEST_F(OnnxPlugin, TellsWhatItCan) {
  skerry_capabilities capabilities{};
  capabilities.size = sizeof capabilities;
  skerry_error error{};
  ASSERT_EQ(plugin.table->capabilities(plugin.runtime, &capabilities, &error), SKERRY_OK);
  EXPECT_EQ(text(capabilities.formats[0]), "onnx");
  EXPECT_THAT(text(capabilities.engine_version), HasSubstr("1."));
  EXPECT_EQ(capabilities.features, SKERRY_FEATURE_TENSORS);
}

TEST_F(OnnxPlugin, RunsAModel) {
  ASSERT_EQ(plugin.load(onnx_small_model()).status, SKERRY_OK);
  const Outcome outcome = plugin.run({x({2, 3}, {1, 2, 3, -1, 0, 1})});
  ASSERT_EQ(outcome.status, SKERRY_OK) << outcome.message;
  ASSERT_EQ(plugin.outputs.size(), 1U);
  EXPECT_EQ(plugin.outputs[0].name, "y");
  EXPECT_THAT(plugin.outputs[0].shape, ElementsAre(2, 2));
  EXPECT_THAT(floats(plugin.outputs[0].data), ElementsAre(22, 0, 4, 0));
}

TEST_F(OnnxPlugin, DescribesInputsAndOutputs) {
  ASSERT_EQ(plugin.load(onnx_small_model()).status, SKERRY_OK);
  skerry_model_info info{};
  info.size = sizeof info;
  skerry_error error{};
  ASSERT_EQ(plugin.table->info(plugin.model, &info, &error), SKERRY_OK);
  ASSERT_EQ(info.input_count, 1U);
  EXPECT_EQ(text(info.inputs[0].name), "x");
  EXPECT_EQ(info.inputs[0].datatype, std::uint32_t{SKERRY_TYPE_FP32});
  EXPECT_THAT(std::vector<std::int64_t>(info.inputs[0].shape, info.inputs[0].shape + 2),
              ElementsAre(-1, 3));
  ASSERT_EQ(info.output_count, 1U);
  EXPECT_EQ(text(info.outputs[0].name), "y");
  EXPECT_EQ(info.max_concurrency, 2U);
  EXPECT_EQ(text(info.accelerator), "cpu");
}

TEST_F(OnnxPlugin, ReadsAModelFromTheMiddleOfAFile) {
  ASSERT_EQ(plugin.load({{"m", "model", onnx_small_model(), 5000}}, {}).status, SKERRY_OK);
  EXPECT_EQ(plugin.run({x({1, 3}, {1, 0, 0})}).status, SKERRY_OK);
}

TEST_F(OnnxPlugin, TakesInputWithoutAlignment) {
  ASSERT_EQ(plugin.load(onnx_small_model()).status, SKERRY_OK);
  const std::string bytes = "#" + float_bytes({1, 0, 0});
  const std::vector<std::int64_t> shape{1, 3};
  skerry_tensor tensor{};
  tensor.size = sizeof tensor;
  tensor.name = abi("x");
  tensor.datatype = SKERRY_TYPE_FP32;
  tensor.rank = 2;
  tensor.shape = shape.data();
  tensor.data = bytes.data() + 1;
  tensor.bytes = 12;
  skerry_infer_request request{};
  request.size = sizeof request;
  std::memset(request.model_digest, 7, sizeof request.model_digest);
  request.inputs = &tensor;
  request.input_count = 1;
  request.emit = [](void*, const skerry_tensor* emitted, std::size_t) {
    float first = 0;
    std::memcpy(&first, emitted->data, sizeof first);
    return first == 1.0F ? 0 : 1;
  };
  skerry_error error{};
  EXPECT_EQ(plugin.table->infer->run(plugin.model, &request, &error), SKERRY_OK) << error.message;
}

TEST_F(OnnxPlugin, AnswersAnEmptyBatch) {
  ASSERT_EQ(plugin.load(onnx_small_model()).status, SKERRY_OK);
  const Outcome outcome = plugin.run({x({0, 3}, {})});
  ASSERT_EQ(outcome.status, SKERRY_OK) << outcome.message;
  EXPECT_THAT(plugin.outputs[0].shape, ElementsAre(0, 2));
  EXPECT_TRUE(plugin.outputs[0].data.empty());
}

struct TypeRow {
  std::uint64_t onnx;
  std::uint32_t datatype;
  std::size_t bytes;
};

class EveryType : public ::testing::TestWithParam<TypeRow> {
 protected:
  PluginUnderTest plugin;
};

TEST_P(EveryType, PassesThrough) {
  ASSERT_EQ(plugin.load(identity_model(GetParam().onnx)).status, SKERRY_OK);
  std::string data;
  for (std::size_t i = 0; i < 3 * GetParam().bytes; ++i) {
    data.push_back(static_cast<char>(GetParam().onnx == 9 ? i % 2 : 17 * i));
  }
  const Outcome outcome = plugin.run({{"x", GetParam().datatype, {3}, data}});
  ASSERT_EQ(outcome.status, SKERRY_OK) << outcome.message;
  EXPECT_EQ(plugin.outputs[0].datatype, GetParam().datatype);
  EXPECT_EQ(plugin.outputs[0].data, data);
}

INSTANTIATE_TEST_SUITE_P(Table,
                         EveryType,
                         ::testing::Values(TypeRow{1, SKERRY_TYPE_FP32, 4},
                                           TypeRow{2, SKERRY_TYPE_UINT8, 1},
                                           TypeRow{3, SKERRY_TYPE_INT8, 1},
                                           TypeRow{4, SKERRY_TYPE_UINT16, 2},
                                           TypeRow{5, SKERRY_TYPE_INT16, 2},
                                           TypeRow{6, SKERRY_TYPE_INT32, 4},
                                           TypeRow{7, SKERRY_TYPE_INT64, 8},
                                           TypeRow{9, SKERRY_TYPE_BOOL, 1},
                                           TypeRow{10, SKERRY_TYPE_FP16, 2},
                                           TypeRow{11, SKERRY_TYPE_FP64, 8},
                                           TypeRow{12, SKERRY_TYPE_UINT32, 4},
                                           TypeRow{13, SKERRY_TYPE_UINT64, 8},
                                           TypeRow{16, SKERRY_TYPE_BF16, 2}));

TEST_F(OnnxPlugin, PassesStringsThrough) {
  ASSERT_EQ(plugin.load(identity_model(8)).status, SKERRY_OK);
  const std::string data("\x02\0\0\0hi\0\0\0\0\x03\0\0\0\xc3\xa9!", 17);
  const Outcome outcome = plugin.run({{"x", SKERRY_TYPE_BYTES, {3}, data}});
  ASSERT_EQ(outcome.status, SKERRY_OK) << outcome.message;
  EXPECT_EQ(plugin.outputs[0].data, data);
}

TEST_F(OnnxPlugin, RefusesBrokenStrings) {
  ASSERT_EQ(plugin.load(identity_model(8)).status, SKERRY_OK);
  const auto run = [&](std::string data) {
    return plugin.run({{"x", SKERRY_TYPE_BYTES, {1}, std::move(data)}});
  };
  EXPECT_THAT(run(std::string("\x09\0\0\0hi", 6)).message, HasSubstr("element 0 is cut short"));
  EXPECT_THAT(run(std::string("\x09\0", 2)).message, HasSubstr("cut short"));
  EXPECT_THAT(run(std::string("\x02\0\0\0a\0", 6)).message, HasSubstr("contains NUL"));
  EXPECT_THAT(run("").message, HasSubstr("has 0 elements, its shape needs 1"));
}

TEST_F(OnnxPlugin, NamesTheInputThatIsWrong) {
  ASSERT_EQ(plugin.load(onnx_small_model()).status, SKERRY_OK);
  const auto expect = [&](const std::vector<TestTensor>& inputs, std::string_view message) {
    const Outcome outcome = plugin.run(inputs);
    EXPECT_EQ(outcome.status, std::uint32_t{SKERRY_E_INVALID});
    EXPECT_THAT(outcome.message, HasSubstr(message));
  };
  const TestTensor good = x({1, 3}, {1, 2, 3});
  expect({}, "input 'x' is missing");
  expect({good, good}, "input 'x' is given twice");
  expect({good, {"z", SKERRY_TYPE_FP32, {1}, "abcd"}}, "the model has no input 'z'");
  expect({x({1, 4}, {1, 2, 3, 4})}, "input 'x' has the shape [1, 4], the model takes [?, 3]");
  expect({x({3}, {1, 2, 3})}, "input 'x' has the shape [3], the model takes [?, 3]");
  expect({x({-1, 3}, {1, 2, 3})}, "negative or too large");
  expect({x({1LL << 62, 3}, {1, 2, 3})}, "needs another number");
  expect({x({2, 3}, {1, 2, 3})}, "has 12 bytes, its shape [2, 3] of FP32 needs another number");
  expect({{"x", SKERRY_TYPE_FP64, {1, 3}, std::string(24, '\0')}},
         "input 'x' has datatype FP64, the model takes FP32");
  expect({{"x", 99, {1, 3}, ""}}, "datatype 99");
  expect({x({1, 1, 1, 1, 1, 1, 1, 1, 3}, {1, 2, 3})}, "has 9 dimensions, at most 8");
}

TEST_F(OnnxPlugin, RefusesOtherOutputsAndOtherModels) {
  ASSERT_EQ(plugin.load(onnx_small_model()).status, SKERRY_OK);
  const TestTensor good = x({1, 3}, {1, 2, 3});
  EXPECT_EQ(plugin.run({good}, {"y"}).status, std::uint32_t{SKERRY_OK});
  EXPECT_THAT(plugin.run({good}, {"nothing"}).message, HasSubstr("no output 'nothing'"));
  EXPECT_THAT(plugin.run({good}, {}, 8).message, HasSubstr("another model"));
}

TEST_F(OnnxPlugin, TakesExternalDataFromTheFilesGiven) {
  const Proto weights = Proto{}
                            .varint(1, 3)
                            .varint(1, 2)
                            .varint(2, 1)
                            .bytes(8, "w")
                            .varint(14, 1)
                            .message(13, Proto{}.bytes(1, "location").bytes(2, "w.bin"))
                            .message(13, Proto{}.bytes(1, "offset").bytes(2, "4"))
                            .message(13, Proto{}.bytes(1, "length").bytes(2, "24"));
  const std::string model = onnx_model(Proto{}
                                           .bytes(2, "g")
                                           .message(1, onnx_node("MatMul", {"x", "w"}, {"y"}))
                                           .message(5, weights)
                                           .message(11, onnx_value("x", 1, {-1, 3}))
                                           .message(12, onnx_value("y", 1, {-1, 2})));
  const std::string data = "####" + float_bytes({1, 2, 3, 4, 5, 6});
  const Outcome loaded =
      plugin.load({{"model.onnx", "model", model}, {"w.bin", "external-data", data}}, {});
  ASSERT_EQ(loaded.status, SKERRY_OK) << loaded.message;
  ASSERT_EQ(plugin.run({x({1, 3}, {1, 1, 1})}).status, SKERRY_OK);
  EXPECT_THAT(floats(plugin.outputs[0].data), ElementsAre(9, 12));
  EXPECT_EQ(plugin.load({{"model.onnx", "model", model}}, {}).status,
            std::uint32_t{SKERRY_E_MODEL});
}

TEST_F(OnnxPlugin, SaysWhyAModelCannotBeLoaded) {
  const std::string model = onnx_small_model();
  const auto expect = [&](const Outcome& outcome, int status, std::string_view message) {
    EXPECT_EQ(outcome.status, static_cast<std::uint32_t>(status)) << outcome.message;
    EXPECT_THAT(outcome.message, HasSubstr(message));
    EXPECT_EQ(plugin.model, nullptr);
  };
  expect(plugin.load("not a model"), SKERRY_E_MODEL, "model.onnx");
  expect(plugin.load(""), SKERRY_E_IO, "file 'model.onnx'");
  expect(plugin.load({{"a", "weights", model}}, {}), SKERRY_E_INVALID, "has the role 'weights'");
  expect(plugin.load({}, {}), SKERRY_E_INVALID, "no file has the role 'model'");
  expect(plugin.load({{"a", "model", model}, {"b", "model", model}}, {}),
         SKERRY_E_INVALID,
         "more than one file");
  PluginUnderTest::LoadOptions options;
  options.accelerator = "cuda";
  expect(plugin.load({{"a", "model", model}}, options), SKERRY_E_UNSUPPORTED, "not on 'cuda'");
  options = {};
  options.options = {{"speed", "11"}};
  expect(plugin.load({{"a", "model", model}}, options), SKERRY_E_INVALID, "no option 'speed'");
  options.options = {{"arena", "maybe"}};
  expect(plugin.load({{"a", "model", model}}, options), SKERRY_E_INVALID, "expected on or off");
  options = {};
  options.memory_limit = 1000;
  expect(plugin.load({{"a", "model", model}}, options), SKERRY_E_MEMORY, "the limit is 1000");
}

TEST_F(OnnxPlugin, TakesEveryOption) {
  PluginUnderTest::LoadOptions options;
  options.options = {{"arena", "off"}, {"memory_pattern", "off"}, {"optimization", "basic"}};
  options.threads = 2;
  ASSERT_EQ(plugin.load({{"a", "model", onnx_small_model()}}, options).status, SKERRY_OK);
  EXPECT_EQ(plugin.run({x({1, 3}, {1, 2, 3})}).status, std::uint32_t{SKERRY_OK});
}

TEST_F(OnnxPlugin, EndsARunThatIsCancelled) {
  ASSERT_EQ(plugin.load(endless_model()).status, SKERRY_OK);
  std::atomic<bool> done = false;
  std::thread canceller{[&] {
    while (!done) {
      plugin.table->infer->cancel(plugin.model, 41);  // another run: no effect
      plugin.table->infer->cancel(plugin.model, 42);
      std::this_thread::yield();
    }
  }};
  const Outcome outcome = plugin.run({x({1}, {0})}, {}, 7, 42);
  done = true;
  canceller.join();
  EXPECT_EQ(outcome.status, std::uint32_t{SKERRY_E_CANCELLED}) << outcome.message;
  EXPECT_TRUE(plugin.outputs.empty());
}

TEST_F(OnnxPlugin, BeatsWhileItComputesAndStopsWhenTheHostWishes) {
  ASSERT_EQ(plugin.load(endless_model()).status, SKERRY_OK);
  std::thread stopper{[&] {
    while (plugin.heartbeats == 0) {
      std::this_thread::yield();
    }
    plugin.stop = true;
  }};
  const Outcome outcome = plugin.run({x({1}, {0})});
  stopper.join();
  EXPECT_EQ(outcome.status, std::uint32_t{SKERRY_E_CANCELLED});
  plugin.stop = false;
  EXPECT_EQ(plugin.load(onnx_small_model()).status, std::uint32_t{SKERRY_OK});
}

TEST_F(OnnxPlugin, StopsWhenTheHostTakesNoMore) {
  ASSERT_EQ(plugin.load(onnx_small_model()).status, SKERRY_OK);
  plugin.refuse_outputs = true;
  EXPECT_EQ(plugin.run({x({1, 3}, {1, 2, 3})}).status, std::uint32_t{SKERRY_E_CANCELLED});
}

TEST_F(OnnxPlugin, RunsTwoRequestsAtOnce) {
  ASSERT_EQ(plugin.load(onnx_small_model()).status, SKERRY_OK);
  std::atomic<int> right = 0;
  const auto work = [&](float scale) {
    const std::string data = float_bytes({scale, 0, 0});
    const std::vector<std::int64_t> shape{1, 3};
    skerry_tensor tensor{};
    tensor.size = sizeof tensor;
    tensor.name = abi("x");
    tensor.datatype = SKERRY_TYPE_FP32;
    tensor.rank = 2;
    tensor.shape = shape.data();
    tensor.data = data.data();
    tensor.bytes = data.size();
    float answer = 0;
    skerry_infer_request request{};
    request.size = sizeof request;
    request.id = static_cast<std::uint64_t>(scale);
    std::memset(request.model_digest, 7, sizeof request.model_digest);
    request.inputs = &tensor;
    request.input_count = 1;
    request.emit_ctx = &answer;
    request.emit = [](void* ctx, const skerry_tensor* emitted, std::size_t) {
      std::memcpy(ctx, emitted->data, sizeof(float));
      return 0;
    };
    for (int i = 0; i < 200; ++i) {
      skerry_error error{};
      if (plugin.table->infer->run(plugin.model, &request, &error) == SKERRY_OK &&
          answer == scale) {
        ++right;
      }
    }
  };
  std::thread one{work, 1.0F};
  std::thread two{work, 2.0F};
  one.join();
  two.join();
  EXPECT_EQ(right, 400);
}

}  // namespace
}  // namespace skerry::test
