#pragma once

// Starts, feeds, watches and replaces the sandboxed worker processes that hold models. The daemon
// composes one `Supervisor`; the activation machine and the serving layer hold `LoadedModel`s.
// Read request.hpp for what goes in and comes out, docs/adr/0011 for the protocol below.
//
// A worker that aborts, hangs, is killed or runs out of memory fails the requests that it may have
// died of with kWorkerLost (kOutOfMemory) saying what happened; the others are given to the next
// worker, once, after a back-off (1 s doubling to 5 min). A request that has answered a token is
// never repeated, and one that is known to have killed a worker is refused with kQuarantined for
// ten minutes (docs/adr/0108).

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "skerry/async/task.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"
#include "skerry/runtime/model_info.hpp"
#include "skerry/runtime/pinned_prompt.hpp"
#include "skerry/runtime/prefix_shelf.hpp"
#include "skerry/runtime/request.hpp"
#include "skerry/security/sandbox.hpp"

namespace skerry::runtime {

// One file of a variant, verified by the registry through this very descriptor.
struct ModelFile {
  UniqueFd fd;
  std::string name;  // plain file name, as in the manifest
  std::string role;  // "model" exactly once; "external-data", …
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  Digest digest;
};

struct LoadSpec {
  Digest model;
  std::string plugin;  // "llamacpp", "onnx", "null"
  std::vector<ModelFile> files;
  std::string accelerator = "cpu";
  std::uint32_t context_length = 0;  // 0: the model's own
  std::uint32_t max_sequences = 4;
  std::uint32_t max_rows = 512;  // most rows of one batch
  std::uint32_t threads = 0;     // at most; 0: usable cores (affinity and cgroup quota)
  // Fewer threads while the rest of the machine needs the cores (ADR 0097).
  bool adapt_threads = true;
  // Longest time between two tokens that others' prompts may cause; 0: 150 ms.
  std::chrono::milliseconds inter_token_target{0};
  // Prefixes are shared between requests of a principal and kept, in at most so many tokens of the
  // model's cache; 0: as many as the requests leave room for (ADR 0102).
  bool prefix_cache = true;
  std::uint32_t prefix_cache_tokens = 0;
  // Tokens are guessed from what was said before, where the engine can take them back and it pays
  // (ADR 0110). Not where a model's own speed is measured.
  bool drafting = false;
  // Private memory the worker may use (RLIMIT_DATA, and memory.max where delegated); 0: unlimited.
  std::uint64_t memory_limit = 0;
  security::SandboxRequirement sandbox = security::SandboxRequirement::kStandard;
  std::uint32_t max_queued = 256;  // more requests waiting fail with kQueueFull
  // Plugin-specific; an unknown key fails the load.
  std::vector<std::pair<std::string, std::string>> options;
  // Each worker computes and keeps these (ADR 0114); what is wrong with one is in its status.
  std::vector<PinnedPrompt> prompts{};
};

// Called on the supervisor's executor, in order; the last event is Done or Failure.
using EventSink = std::function<void(Event)>;

// Names one submitted request. Copyable; dropping it does not cancel.
class RequestHandle {
 public:
  RequestHandle() = default;
  explicit RequestHandle(std::function<void()> cancel) : cancel_(std::move(cancel)) {}
  // Thread-safe, idempotent, no effect after the last event. The request ends within one chunk with
  // Done{kCancelled} (or Failure{kCancelled} if it had not started).
  void cancel() const {
    if (cancel_) {
      cancel_();
    }
  }

 private:
  std::function<void()> cancel_;
};

// A model that was loaded once and is kept loadable. Thread-safe.
class LoadedModel {
 public:
  virtual ~LoadedModel() = default;
  // As the first worker reported it; does not change.
  [[nodiscard]] virtual const ModelInfo& info() const = 0;
  [[nodiscard]] virtual WorkerStatus status() const = 0;
  // Never fails synchronously and never blocks: every failure is the Failure event, which is
  // delivered from the executor, not from inside this call.
  virtual RequestHandle submit(Request request, EventSink sink) = 0;
  // Stops the worker; it starts again at the next request. `grace`: time that running requests get
  // to finish; the rest end with Done{kCancelled}. Call on the executor.
  virtual Task<void> unload(std::chrono::milliseconds grace) = 0;
};

// How a worker ended, for the activation machine's crash counting and telemetry.
struct WorkerExit {
  Digest model;
  std::string plugin;
  int pid = 0;
  bool clean = false;  // asked to stop and did
  Error error{Error::Code::kWorkerLost, ""};
  std::chrono::nanoseconds lifetime{0};
  std::uint32_t requests_lost = 0;
};

struct SupervisorOptions {
  std::filesystem::path worker;      // the skerry-worker program
  std::filesystem::path plugin_dir;  // holds skerry-<plugin>.so
  std::filesystem::path engine_dir;  // engine libraries; empty: as built into each plugin
  // User for workers when this process is root; 0 keeps root's (reported as not achieved).
  std::uint32_t worker_uid = 0;
  std::uint32_t worker_gid = 0;
  int niceness = 10;
  // A delegated cgroup v2 directory; workers get a leaf with memory.max and cpu.weight. Empty:
  // niceness alone.
  std::filesystem::path cgroup;
  std::chrono::milliseconds start_timeout{10'000};  // from spawn to the sandbox report
  std::chrono::milliseconds load_timeout{300'000};
  std::chrono::milliseconds ping_interval{
      1'000};  // while requests run; an idle worker is left alone
  std::chrono::milliseconds pong_timeout{10'000};
  // A busy engine that makes no step for so long is hung.
  std::chrono::milliseconds hang_timeout{30'000};
  std::chrono::milliseconds stop_timeout{5'000};  // SIGTERM to SIGKILL
  std::chrono::milliseconds first_back_off{1'000};
  std::chrono::milliseconds longest_back_off{300'000};
  // Keeps states of prefixes for later workers; null: they end with their worker. Outlives the
  // supervisor.
  PrefixShelf* prefix_shelf = nullptr;
  // Called on the executor for every exit, also of workers that never loaded.
  std::function<void(const WorkerExit&)> on_exit;
};

class Supervisor {
 public:
  // `executor` must run one handler at a time (one thread, or a strand); its thread must outlive
  // the workers, since a worker dies with the thread that started it. `clock` outlives the
  // supervisor.
  static std::unique_ptr<Supervisor> make(boost::asio::any_io_executor executor,
                                          SupervisorOptions options,
                                          const Clock& clock,
                                          Log log);
  // Kills workers that `stop` has not stopped.
  virtual ~Supervisor() = default;

  // Starts a worker, restricts it, hands it the files and waits until it is ready. kWorkerSetup
  // (the program, the plugin or a required sandbox layer is missing), kModelLoad or kModelFormat
  // (the engine refuses the file), kOutOfMemory, kWorkerLost, kDeadlineExceeded. Cancellation stops
  // the worker. The worker is stopped when the last reference to the model goes.
  virtual Task<Result<std::shared_ptr<LoadedModel>>> load(LoadSpec spec) = 0;
  // The models that are still referenced somewhere.
  [[nodiscard]] virtual std::vector<std::shared_ptr<LoadedModel>> models() const = 0;
  // Ends every worker: running requests get `grace`, then SIGTERM, then SIGKILL. Waits for all.
  virtual Task<void> stop(std::chrono::milliseconds grace) = 0;
};

// One request as one call.

struct Completion {
  std::string text;
  std::vector<std::int32_t> tokens;
  Done done;
};

// Each submits, waits for the last event and returns what came; Failure becomes the error.
// Cancelling the coroutine cancels the request. `on_submit`, if any, is called once with the handle
// by which others may cancel it. Call on the supervisor's executor.
using OnSubmit = std::function<void(const RequestHandle&)>;

Task<Result<Completion>> generate(LoadedModel& model, GenerateRequest request);
Task<Result<Embeddings>> embed(LoadedModel& model,
                               EmbedRequest request,
                               OnSubmit on_submit = nullptr);
Task<Result<Scores>> score(LoadedModel& model, ScoreRequest request, OnSubmit on_submit = nullptr);
Task<Result<Tokens>> tokenize(LoadedModel& model,
                              TokenizeRequest request,
                              OnSubmit on_submit = nullptr);
Task<Result<Tensors>> infer(LoadedModel& model, InferRequest request, OnSubmit on_submit = nullptr);

}  // namespace skerry::runtime
