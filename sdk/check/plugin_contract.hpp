#pragma once

// The conformance suite of the plugin ABI: what skerry/runtime/plugin.h promises, asked of a real
// plugin through the host. The cases are in cases_*.cpp, the library skerry::plugin_contract.
// `skerry-plugin-check` runs them for a plugin named on the command line, the project's own tests
// for each of its plugins:
//
//   INSTANTIATE_TEST_SUITE_P(Mine, PluginContract, ::testing::Values(PluginUnderTest{…}));
//
// A case that asks for what the plugin does not offer is skipped.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "skerry/common/clock.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/unique_fd.hpp"
#include "skerry/runtime/plugin_host.hpp"
#include "skerry/runtime/request.hpp"
#include "skerry/runtime/sampler.hpp"

namespace skerry::runtime::test {

struct PluginUnderTest {
  // As in the library's file name: skerry-<name>.so.
  std::string name;
  std::string library;
  // Empty: the plugin needs no file.
  std::string model;
  // A request that the model answers, for plugins that infer. Empty: zeroes for each input that the
  // model declares, `open_size` for each dimension of -1.
  std::vector<Tensor> inputs;
  // One that the plugin names when it refuses another. Empty: the first that it offers.
  std::string quantize_type;
  std::int64_t open_size = 1;
  // Given to each load.
  PluginOptions options;
  // What the plugin logs; empty: nobody listens.
  std::function<void(LogLevel, std::string_view)> log;
};

inline void PrintTo(const PluginUnderTest& plugin, std::ostream* out) {
  *out << plugin.name;
}

class PluginContract : public ::testing::TestWithParam<PluginUnderTest> {
 protected:
  void SetUp() override;

  [[nodiscard]] PluginLoad load_job() const;
  void load();
  [[nodiscard]] bool makes_tokens() const;
  // And says which, or the test does: what to ask is known.
  [[nodiscard]] bool takes_tensors() const;
  // Empty: the plugin does not quantize.
  [[nodiscard]] std::string quantize_type() const;

  std::vector<std::int32_t> some_tokens(std::size_t count);
  static std::vector<Row> prompt_rows(std::uint32_t sequence,
                                      const std::vector<std::int32_t>& tokens,
                                      Want want_last = Want::kLogits,
                                      std::size_t from = 0);
  std::vector<float> last_logits(const std::vector<Row>& rows);

  // Runs requests through the real scheduler and gives the text of each.
  std::vector<std::string> generate(const std::vector<std::string>& prompts,
                                    const SamplingParams& sampling,
                                    std::uint32_t max_tokens = 12);

  // Greedy answers to token prompts, asked in this order and all at once, and how much of their
  // prompts was not computed.
  std::pair<std::vector<std::vector<std::int32_t>>, std::uint32_t> answers(
      const std::vector<std::vector<std::int32_t>>& prompts, bool cache, bool together);

  [[nodiscard]] InferRequest infer_request() const;

  SystemClock clock_;
  std::atomic<std::uint64_t> heartbeats_{0};
  std::atomic<bool> stop_{false};
  UniqueFd fd_;
  std::uint64_t length_ = 0;
  std::unique_ptr<Plugin> plugin_;
  std::unique_ptr<PluginModel> model_;
};

}  // namespace skerry::runtime::test
