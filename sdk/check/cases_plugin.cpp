#include <algorithm>
#include <string>

#include "plugin_contract.hpp"

namespace skerry::runtime::test {

TEST_P(PluginContract, NamesItselfAndItsEngine) {
  const PluginCapabilities& capabilities = plugin_->capabilities();
  EXPECT_EQ(capabilities.name, GetParam().name);
  EXPECT_FALSE(capabilities.version.empty());
  EXPECT_FALSE(capabilities.engine_version.empty());
  EXPECT_NE(std::find(capabilities.accelerators.begin(), capabilities.accelerators.end(), "cpu"),
            capabilities.accelerators.end());
}

TEST_P(PluginContract, DescribesTheLoadedModel) {
  load();
  const ModelInfo& info = model_->info();
  EXPECT_EQ(info.accelerator, "cpu");
  EXPECT_FALSE(info.architecture.empty());
  EXPECT_TRUE(info.can_generate || info.can_embed || info.can_rank || info.can_infer);
  EXPECT_GE(model_->max_concurrency(), 1U);
  if (model_->steps()) {
    EXPECT_GT(info.vocabulary, 0U);
    EXPECT_EQ(info.context_length, 128U);
    EXPECT_EQ(info.max_sequences, 3U);
    EXPECT_GE(info.context_total, info.context_length);
    EXPECT_LE(model_->max_rows(), 64U);
  }
}

TEST_P(PluginContract, LoadsTwiceAndUnloadsInAnyOrder) {
  load();
  auto second = plugin_->load(load_job());
  ASSERT_TRUE(second) << second.error().to_string();
  model_.reset();
  EXPECT_FALSE((*second)->info().architecture.empty());
}

TEST_P(PluginContract, RefusesAnAcceleratorThatIsNotThere) {
  PluginLoad job = load_job();
  job.accelerator = "abacus";
  const auto model = plugin_->load(job);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("abacus"), std::string::npos) << model.error().message();
}

TEST_P(PluginContract, RefusesAnUnknownOption) {
  PluginLoad job = load_job();
  job.options.emplace_back("no_such_option", "1");
  const auto model = plugin_->load(job);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("no_such_option"), std::string::npos);
}

TEST_P(PluginContract, RefusesAFileThatIsNoModel) {
  if (!fd_) {
    GTEST_SKIP() << "needs no file";
  }
  PluginLoad job = load_job();
  job.files[0].offset = length_ / 2;
  job.files[0].length = length_ - length_ / 2;
  const auto model = plugin_->load(job);
  ASSERT_FALSE(model);
  EXPECT_FALSE(model.error().message().empty());
}

TEST_P(PluginContract, StopsLoadingWhenTold) {
  if (!fd_) {
    GTEST_SKIP() << "loads nothing";
  }
  stop_ = true;
  const auto model = plugin_->load(load_job());
  // A small model may be loaded before the engine asks for the first time.
  if (!model) {
    EXPECT_EQ(model.error().code(), Error::Code::kCancelled) << model.error().to_string();
  }
}

TEST_P(PluginContract, UnknownQuantizationTypeIsRefusedByName) {
  if (quantize_type().empty()) {
    GTEST_SKIP() << "does not quantize";
  }
  EXPECT_FALSE(plugin_->capabilities().quantize_types.empty());
  PluginQuantize job;
  job.files = load_job().files;
  job.type = "q77_z";
  const auto outcome = plugin_->quantize(job);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Error::Code::kInvalidArgument);
  EXPECT_NE(outcome.error().message().find(quantize_type()), std::string::npos)
      << outcome.error().message();
}

}  // namespace skerry::runtime::test
