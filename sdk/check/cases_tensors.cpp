#include <algorithm>
#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "plugin_contract.hpp"

namespace skerry::runtime::test {

TEST_P(PluginContract, InfersAndEmitsCheckedTensors) {
  load();
  if (!takes_tensors()) {
    GTEST_SKIP() << "takes no tensors, or declares no inputs";
  }
  const auto outputs = model_->run(1, infer_request());
  ASSERT_TRUE(outputs) << outputs.error().to_string();
  ASSERT_FALSE(outputs->outputs.empty());
  for (const Tensor& tensor : outputs->outputs) {
    EXPECT_TRUE(check_tensor(tensor));
  }
  const auto again = model_->run(2, infer_request());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->outputs[0].data, outputs->outputs[0].data);
}

TEST_P(PluginContract, GivesTheOutputsAskedForAndNoOthers) {
  load();
  if (!takes_tensors()) {
    GTEST_SKIP() << "takes no tensors, or declares no inputs";
  }
  const auto all = model_->run(1, infer_request());
  ASSERT_TRUE(all);
  InferRequest request = infer_request();
  request.outputs = {all->outputs.front().name};
  const auto one = model_->run(2, request);
  ASSERT_TRUE(one) << one.error().to_string();
  ASSERT_EQ(one->outputs.size(), 1U);
  EXPECT_EQ(one->outputs[0].name, all->outputs.front().name);
  request.outputs = {"no such output"};
  EXPECT_FALSE(model_->run(3, request));
}

TEST_P(PluginContract, RefusesARequestForAnotherModel) {
  load();
  if (!takes_tensors()) {
    GTEST_SKIP() << "takes no tensors, or declares no inputs";
  }
  InferRequest request = infer_request();
  request.meta.model = Digest::of("another model");
  const auto outputs = model_->run(1, request);
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().code(), Error::Code::kInvalidArgument);
}

TEST_P(PluginContract, ServesSeveralThreadsAtOnce) {
  load();
  if (!takes_tensors()) {
    GTEST_SKIP() << "takes no tensors, or declares no inputs";
  }
  const std::uint32_t threads = model_->max_concurrency();
  std::atomic<std::uint32_t> good{0};
  std::vector<std::thread> running;
  for (std::uint32_t i = 0; i < threads; ++i) {
    running.emplace_back([&, i] { good += model_->run(i + 1, infer_request()) ? 1U : 0U; });
  }
  for (std::thread& thread : running) {
    thread.join();
  }
  EXPECT_EQ(good.load(), threads);
}

TEST_P(PluginContract, CancelOfAnUnknownRunIsHarmless) {
  load();
  if (!takes_tensors()) {
    GTEST_SKIP() << "takes no tensors, or declares no inputs";
  }
  model_->cancel(12345);
  EXPECT_TRUE(model_->run(1, infer_request()));
}

TEST_P(PluginContract, GivesTheOutputsItDeclares) {
  load();
  if (!takes_tensors() || model_->info().outputs.empty()) {
    GTEST_SKIP() << "declares no outputs";
  }
  const auto outputs = model_->run(1, infer_request());
  ASSERT_TRUE(outputs) << outputs.error().to_string();
  for (const TensorInfo& declared : model_->info().outputs) {
    const auto found =
        std::find_if(outputs->outputs.begin(), outputs->outputs.end(), [&](const Tensor& tensor) {
          return tensor.name == declared.name;
        });
    ASSERT_NE(found, outputs->outputs.end()) << declared.name;
    EXPECT_EQ(found->type, declared.type) << declared.name;
    // Without dimensions the shape may be any.
    if (declared.shape.empty()) {
      continue;
    }
    ASSERT_EQ(found->shape.size(), declared.shape.size()) << declared.name;
    for (std::size_t i = 0; i < declared.shape.size(); ++i) {
      EXPECT_TRUE(declared.shape[i] < 0 || declared.shape[i] == found->shape[i])
          << declared.name << ", dimension " << i;
    }
  }
}

TEST_P(PluginContract, RefusesInputsThatAreNotTheModelsByName) {
  load();
  if (!takes_tensors() || model_->info().inputs.empty()) {
    GTEST_SKIP() << "declares no inputs";
  }
  const InferRequest good = infer_request();
  const Tensor first = good.inputs.front();
  std::uint64_t key = 0;
  const auto refused = [&](std::string_view what, std::string_view name, std::vector<Tensor> with) {
    InferRequest request = good;
    request.inputs = std::move(with);
    const auto outputs = model_->run(++key, request);
    ASSERT_FALSE(outputs) << what;
    EXPECT_EQ(outputs.error().code(), Error::Code::kInvalidArgument)
        << what << ": " << outputs.error().to_string();
    EXPECT_NE(outputs.error().message().find(name), std::string::npos)
        << what << ": the message does not name \"" << name << "\": " << outputs.error().message();
  };
  refused("an input is missing", first.name, {good.inputs.begin() + 1, good.inputs.end()});

  std::vector<Tensor> more = good.inputs;
  more.push_back(first);
  more.back().name = "no such input";
  refused("an input too many", "no such input", more);

  std::vector<Tensor> other = good.inputs;
  other.front().type = first.type == DataType::kInt64 ? DataType::kFp32 : DataType::kInt64;
  std::size_t count = 1;
  for (const std::int64_t extent : first.shape) {
    count *= static_cast<std::size_t>(extent);
  }
  other.front().data.assign(count * element_size(other.front().type), '\0');
  refused("an input of another type", first.name, other);

  if (!model_->info().inputs.front().shape.empty() && first.shape.size() < 8) {
    std::vector<Tensor> deeper = good.inputs;
    deeper.front().shape.insert(deeper.front().shape.begin(), 1);
    refused("an input of another shape", first.name, deeper);
  }
  EXPECT_TRUE(model_->run(++key, good)) << "the model can still be used";
}

}  // namespace skerry::runtime::test
