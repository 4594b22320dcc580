#pragma once

// What is known about a model once a worker has loaded it, and about the worker that holds it.
// Read by the model and status APIs, the memory ledger and the telemetry.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/runtime/chat_style.hpp"
#include "skerry/runtime/pinned_prompt.hpp"
#include "skerry/runtime/request.hpp"
#include "skerry/security/sandbox.hpp"

namespace skerry::runtime {

struct TensorInfo {
  std::string name;
  DataType type = DataType::kFp32;
  std::vector<std::int64_t> shape;  // -1: any
};

struct MemoryUse {
  std::uint64_t weights_mapped = 0;  // clean pages of the file
  std::uint64_t weights = 0;         // private copies
  std::uint64_t kv = 0;
  std::uint64_t compute = 0;

  [[nodiscard]] std::uint64_t total() const { return weights_mapped + weights + kv + compute; }
};

struct ModelInfo {
  Digest digest;
  std::string plugin;  // "llamacpp"
  std::string plugin_version;
  std::string engine_version;  // "b7000", "1.30.0"
  std::string architecture;
  std::string accelerator;  // "cpu"
  bool can_generate = false;
  bool can_embed = false;
  bool can_score = false;
  bool can_rank = false;
  bool can_chat = false;
  bool can_infer = false;
  ChatStyle chat_style;
  // Token models, else 0.
  std::uint32_t context_length = 0;
  std::uint32_t context_total = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t embedding_length = 0;
  std::uint32_t max_sequences = 0;
  // Tensor models, else empty.
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  MemoryUse memory;
  std::chrono::nanoseconds load_time{0};
  security::SandboxReport sandbox;
};

enum class WorkerState : std::uint8_t { kStopped, kStarting, kReady, kBackOff, kFailed };

std::string_view to_string(WorkerState state) noexcept;

struct WorkerStatus {
  WorkerState state = WorkerState::kStopped;
  int pid = 0;  // 0: none
  std::uint32_t starts = 0;
  std::uint32_t unclean_exits = 0;
  std::string last_exit;  // "killed by signal 6 (SIGABRT)"; empty: none
  std::uint32_t in_flight = 0;
  std::uint64_t resident_bytes = 0;       // at the last heartbeat
  std::uint64_t peak_resident_bytes = 0;  // of the present worker
  std::chrono::nanoseconds back_off{0};   // until the next start is allowed
  // At the last heartbeat; 0: the engine keeps its own threads, or has not worked yet.
  std::uint32_t threads = 0;
  std::uint32_t most_threads = 0;
  double other_cores = 0;  // cores' worth of time that others took
  std::string cpu_state;   // "quiet", "shared", "capped", "slow"; empty: not known
  // Of the present worker, else of the last one.
  std::vector<PinStatus> prompts{};
};

}  // namespace skerry::runtime
