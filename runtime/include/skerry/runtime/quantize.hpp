#pragma once

// Makes a smaller variant of a model in a sandboxed worker, by the `tools` of a runtime plugin: the
// caller never parses the model itself. Used by `skerry model quantize`, the build of the example
// variants, and the agent, which derives variants instead of fetching them.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "skerry/async/task.hpp"
#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace skerry::runtime {

struct QuantizeJob {
  std::string plugin;            // "llamacpp": GGUF; "onnx": ONNX
  std::vector<ModelFile> files;  // the float model
  // llamacpp: "f16", "q8_0", "q6_k", "q4_k_m", "q4_0", "q2_k"; onnx: "int8-qdq".
  std::string type;
  UniqueFd output;  // empty regular file, open for reading and writing
  // Calibration data (onnx) or an importance matrix; an invalid fd: none.
  ModelFile data;
  std::uint32_t threads = 0;
  std::uint64_t memory_limit = 0;
  security::SandboxRequirement sandbox = security::SandboxRequirement::kStandard;
  std::vector<std::pair<std::string, std::string>> options;
  std::function<void(float)> progress;
  // Nothing but this release of the engine may do it; empty: any.
  std::string engine;
  // Asked a few times a second, on the calling thread: true ends the job with kCancelled.
  std::function<bool()> cancelled;
};

struct QuantizeResult {
  std::uint64_t bytes = 0;  // of the output
  std::string engine_version;
};

// The output's content is complete when this returns a value, not yet synced. kInvalidArgument for
// a type the plugin lacks (the message lists them), kModelFormat, kWorkerLost; kFailedPrecondition
// for another engine than was asked for. On failure the
// content of the output is unspecified. Blocks; starts a worker of its own.
Result<QuantizeResult> quantize_model(const SupervisorOptions& supervisor, QuantizeJob job);

}  // namespace skerry::runtime
