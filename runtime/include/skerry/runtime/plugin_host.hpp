#pragma once

// The C++ side of the plugin ABI (plugin.h): opens a plugin, checks what it claims, and turns its
// tables into `Plugin` and `PluginModel`. Used inside skerry-worker and by the conformance suite;
// never inside the daemon, which must not load engine code.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"
#include "skerry/runtime/model_info.hpp"
#include "skerry/runtime/step_engine.hpp"

namespace skerry::runtime {

// What the host does for a plugin. All may be called from any thread; empty ones do nothing.
struct HostServices {
  std::function<void(LogLevel, std::string_view)> log;
  std::function<void()> heartbeat;
  std::function<bool()> should_stop;
};

struct PluginCapabilities {
  std::string name;
  std::string version;
  std::string engine_version;
  std::vector<std::string> formats;
  std::vector<std::string> accelerators;
  std::vector<std::string> quantize_types;
};

// A file of a model; the descriptor is borrowed until the model is gone.
struct PluginFile {
  std::string name;
  std::string role;
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  Digest digest;
};

using PluginOptions = std::vector<std::pair<std::string, std::string>>;

struct PluginLoad {
  Digest model;
  std::vector<PluginFile> files;
  std::string accelerator = "cpu";
  std::uint32_t context_length = 0;
  std::uint32_t max_sequences = 1;
  std::uint32_t spare_sequences = 0;  // that keep prefixes
  std::uint32_t max_rows = 512;
  std::uint32_t threads = 1;
  std::uint64_t memory_limit = 0;
  PluginOptions options;
};

struct PluginQuantize {
  std::vector<PluginFile> files;
  PluginFile data;  // fd -1: none
  std::string type;
  int output_fd = -1;
  std::uint32_t threads = 1;
  PluginOptions options;
  std::function<bool(float)> progress;  // false: stop
};

// A loaded model. The StepEngine part is used by one thread at a time and only if
// `info().can_generate`, `can_embed` or `can_score`; `run` by up to `max_concurrency` threads.
class PluginModel : public StepEngine {
 public:
  // digest, sizes, tensors, memory; what the supervisor adds (sandbox, times) is left empty.
  [[nodiscard]] virtual const ModelInfo& info() const = 0;
  [[nodiscard]] virtual bool steps() const = 0;
  [[nodiscard]] virtual bool whole_sequence() const = 0;
  [[nodiscard]] virtual std::uint32_t max_rows() const = 0;
  // All that the engine has: `info().max_sequences` and the spare ones that it gave.
  [[nodiscard]] virtual std::uint32_t sequences() const = 0;
  [[nodiscard]] virtual std::uint32_t max_concurrency() const = 0;
  // Makes a running decode return kCancelled soon. Any thread.
  virtual void interrupt() = 0;
  // Whether the engine can change its threads while it holds a model; without, `set_threads` is
  // kUnimplemented.
  [[nodiscard]] virtual bool sets_threads() const = 0;
  // From the next decode on: `threads` threads, at most those of the load; `poll` as plugin.h has
  // it. On the thread that decodes. After a failure the engine goes on with what it had.
  virtual Result<void> set_threads(std::uint32_t threads, std::uint32_t poll) = 0;
  // Tensor inference on the caller's thread. Inputs are borrowed. `key` names the run for `cancel`.
  virtual Result<Tensors> run(std::uint64_t key, const InferRequest& request) = 0;
  // Any thread.
  virtual void cancel(std::uint64_t key) = 0;
};

class Plugin {
 public:
  // kPluginInvalid: not a plugin, another ABI, or a table with holes; kWorkerSetup: the engine's
  // own start failed. The library stays in the process for good (engines do not unload cleanly).
  static Result<std::unique_ptr<Plugin>> open(const std::filesystem::path& library,
                                              const PluginOptions& options,
                                              HostServices services);
  virtual ~Plugin() = default;
  [[nodiscard]] virtual const PluginCapabilities& capabilities() const = 0;
  // The model must be destroyed before the plugin. kModelLoad, kOutOfMemory, kInvalidArgument,
  // kUnimplemented.
  virtual Result<std::unique_ptr<PluginModel>> load(const PluginLoad& load) = 0;
  // Upper estimate without reading weights; kUnimplemented if the plugin has none.
  virtual Result<MemoryUse> estimate(const PluginLoad& load) = 0;
  virtual Result<void> quantize(const PluginQuantize& job) = 0;
};

}  // namespace skerry::runtime
