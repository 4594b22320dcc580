#pragma once

// Proves answers, not bytes: runs a golden set or an evaluation set through a loaded model. Used by
// GATING in the agent and by `skerry model evaluate`. The file formats are in
// docs/formats/golden.md.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/async/task.hpp"
#include "skerry/common/result.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace skerry::runtime {

enum class MatchRule : std::uint8_t {
  kExact,       // the whole answer equals `expect`
  kJson,        // the answer is JSON and equals `expect` as JSON
  kJsonFields,  // the answer is JSON; each member of `expect` counts by itself
  kArgmax,      // index of the largest output value equals `expect_class`
};

struct GoldenCase {
  std::string prompt;
  std::string expect;  // text, or JSON text
  MatchRule match = MatchRule::kExact;
  std::uint32_t max_tokens = 0;
  // Tensor cases.
  std::vector<Tensor> inputs;
  std::string output;  // name of the output looked at; empty: the only one
  std::int64_t expect_class = -1;
};

struct GoldenSet {
  std::vector<GoldenCase> cases;
};

// Limits on a golden file; beyond them kTooLarge.
inline constexpr std::size_t kMaxGoldenBytes = 16U << 20U;
inline constexpr std::size_t kMaxGoldenCases = 10'000;

// JSON Lines for text, or one JSON document for tensors. kParse names line and member. `data` is
// the sidecar of a tensor document that keeps its samples in a binary file; empty if it has none.
Result<GoldenSet> parse_golden(std::string_view text, std::string_view data = {});

struct EvaluationReport {
  std::uint32_t cases = 0;
  std::uint32_t exact = 0;                             // whole answers that match
  std::uint32_t failed = 0;                            // requests that ended in an error
  std::map<std::string, std::uint32_t> field_correct;  // kJsonFields: per member of `expect`
  std::map<std::string, std::uint32_t> field_total;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
  double tokens_per_second = 0;  // completion tokens over the time the requests ran
  double cases_per_second = 0;
  std::uint64_t peak_resident_bytes = 0;
  std::vector<std::string> mismatches;  // the first 10, "case 3: expected …, got …"

  [[nodiscard]] double exact_rate() const {
    return cases == 0 ? 0.0 : static_cast<double>(exact) / static_cast<double>(cases);
  }
};

struct EvaluationOptions {
  std::string principal = "system:evaluate";
  PriorityClass priority = PriorityClass::kBatch;
  std::uint32_t parallel = 1;      // requests in flight
  std::uint32_t max_tokens = 256;  // for cases that name none
  // Stops early: kGateFailed as soon as this many cases have failed to match; 0: run them all.
  std::uint32_t give_up_after = 0;
  // Called after each case with (done, total).
  std::function<void(std::uint32_t, std::uint32_t)> progress;
};

// Greedy decoding. kWorkerLost and the like if the worker dies (a golden set that kills its worker
// has not passed).
Task<Result<EvaluationReport>> evaluate(LoadedModel& model,
                                        GoldenSet golden,
                                        EvaluationOptions options);

// The same for programs without an event loop: starts a supervisor of its own, loads, evaluates and
// stops. Blocks; call from one thread.
Result<EvaluationReport> evaluate_model(SupervisorOptions supervisor,
                                        LoadSpec spec,
                                        GoldenSet golden,
                                        EvaluationOptions options,
                                        ModelInfo* info = nullptr);

}  // namespace skerry::runtime
