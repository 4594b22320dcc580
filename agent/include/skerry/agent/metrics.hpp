#pragma once

// The daemon's figures and their Prometheus text. What vLLM has too has vLLM's names and units, so
// that its dashboards and alerts work unchanged (ADR 0107); the rest is ours. Names are constants
// of this header; docs/metrics.md describes each with its labels. The telemetry sampler reads the
// same figures. Used on the control thread only.

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace skerry::agent {

namespace metric {
inline constexpr std::string_view kRequestsRunning = "vllm:num_requests_running";
inline constexpr std::string_view kRequestsWaiting = "vllm:num_requests_waiting";
inline constexpr std::string_view kRequestSuccess = "vllm:request_success_total";
inline constexpr std::string_view kPromptTokens = "vllm:prompt_tokens_total";
inline constexpr std::string_view kGenerationTokens = "vllm:generation_tokens_total";
inline constexpr std::string_view kPrefixQueries = "vllm:prefix_cache_queries_total";
inline constexpr std::string_view kPrefixHits = "vllm:prefix_cache_hits_total";
inline constexpr std::string_view kDrafts = "vllm:spec_decode_num_drafts_total";
inline constexpr std::string_view kDraftTokens = "vllm:spec_decode_num_draft_tokens_total";
inline constexpr std::string_view kAcceptedTokens = "vllm:spec_decode_num_accepted_tokens_total";
inline constexpr std::string_view kPrefixDiskHits = "skerry_prefix_disk_hits_total";
inline constexpr std::string_view kPrefixDiskMisses = "skerry_prefix_disk_misses_total";
inline constexpr std::string_view kPrefixDiskSaved = "skerry_prefix_disk_saved_total";
inline constexpr std::string_view kPrefixDiskDropped = "skerry_prefix_disk_dropped_total";
inline constexpr std::string_view kPrefixDiskBytes = "skerry_prefix_disk_bytes";
inline constexpr std::string_view kPrefixDiskLimit = "skerry_prefix_disk_limit_bytes";
inline constexpr std::string_view kPrefixDiskStates = "skerry_prefix_disk_states";
inline constexpr std::string_view kPinnedPrompts = "skerry_pinned_prompts";
inline constexpr std::string_view kPinnedTokens = "skerry_pinned_prompt_tokens";
inline constexpr std::string_view kTimeToFirstToken = "vllm:time_to_first_token_seconds";
inline constexpr std::string_view kInterToken = "vllm:inter_token_latency_seconds";
inline constexpr std::string_view kTimePerToken = "vllm:request_time_per_output_token_seconds";
inline constexpr std::string_view kRequestLatency = "vllm:e2e_request_latency_seconds";
inline constexpr std::string_view kQueueTime = "vllm:request_queue_time_seconds";
inline constexpr std::string_view kInferenceTime = "vllm:request_inference_time_seconds";
inline constexpr std::string_view kPrefillTime = "vllm:request_prefill_time_seconds";
inline constexpr std::string_view kDecodeTime = "vllm:request_decode_time_seconds";
inline constexpr std::string_view kRequestPrompt = "vllm:request_prompt_tokens";
inline constexpr std::string_view kRequestGeneration = "vllm:request_generation_tokens";
inline constexpr std::string_view kRequestFailure = "skerry_request_failure_total";
inline constexpr std::string_view kDenied = "skerry_requests_denied_total";
inline constexpr std::string_view kOverQuota = "skerry_requests_over_quota_total";
inline constexpr std::string_view kWorkerExits = "skerry_worker_unclean_exits_total";
inline constexpr std::string_view kModelsLoaded = "skerry_models_loaded";
inline constexpr std::string_view kWorkerThreads = "skerry_worker_threads";
inline constexpr std::string_view kWorkerMostThreads = "skerry_worker_threads_limit";
inline constexpr std::string_view kWorkerOtherCores = "skerry_worker_other_cores";
inline constexpr std::string_view kUpstreamUp = "skerry_upstream_up";
inline constexpr std::string_view kUpstreamRunning = "skerry_upstream_requests_running";
inline constexpr std::string_view kUpstreamRequests = "skerry_upstream_requests_total";
inline constexpr std::string_view kModelMemory = "skerry_model_memory_bytes";
inline constexpr std::string_view kMemoryBudget = "skerry_memory_budget_bytes";
inline constexpr std::string_view kResident = "skerry_process_resident_bytes";
inline constexpr std::string_view kCpuSeconds = "skerry_process_cpu_seconds_total";
inline constexpr std::string_view kAuditRecords = "skerry_audit_records";
inline constexpr std::string_view kOutboxRecords = "skerry_outbox_records";
inline constexpr std::string_view kOutboxBytes = "skerry_outbox_bytes";
inline constexpr std::string_view kLinkDayBytes = "skerry_link_day_bytes";
inline constexpr std::string_view kLinkMonthBytes = "skerry_link_month_bytes";
inline constexpr std::string_view kLinkHeldBack = "skerry_link_held_back";
inline constexpr std::string_view kPeerServedBytes = "skerry_peer_served_bytes_total";
inline constexpr std::string_view kSyncConnected = "skerry_sync_connected";
inline constexpr std::string_view kBreakGlass = "skerry_break_glass_active";
inline constexpr std::string_view kBreakGlassOpenings = "skerry_break_glass_openings_total";
inline constexpr std::string_view kBreakGlassUses = "skerry_break_glass_uses_total";
inline constexpr std::string_view kModelsRevoked = "skerry_models_revoked";
inline constexpr std::string_view kRevocationStops = "skerry_revocation_stops_total";
}  // namespace metric

class Histogram {
 public:
  // Upper bounds of the buckets, rising; they outlive the histogram.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), buckets_(bounds.size()) {}
  // `times` equal values at once.
  void observe(double value, std::uint64_t times = 1);
  void observe(std::chrono::nanoseconds time, std::uint64_t times = 1) {
    observe(std::chrono::duration<double>(time).count(), times);
  }
  [[nodiscard]] double sum() const { return sum_; }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::span<const double> bounds() const { return bounds_; }
  // Cumulative counts, one per bound.
  [[nodiscard]] const std::vector<std::uint64_t>& buckets() const { return buckets_; }

 private:
  std::span<const double> bounds_;
  std::vector<std::uint64_t> buckets_;
  double sum_ = 0;
  std::uint64_t count_ = 0;
};

// vLLM's buckets, without those that no gateway reaches.
inline constexpr std::array kRequestSeconds{0.005,
                                            0.01,
                                            0.025,
                                            0.05,
                                            0.1,
                                            0.3,
                                            0.5,
                                            0.8,
                                            1.0,
                                            1.5,
                                            2.0,
                                            2.5,
                                            5.0,
                                            10.0,
                                            30.0,
                                            60.0,
                                            120.0,
                                            300.0};
inline constexpr std::array kFirstTokenSeconds{0.001,
                                               0.005,
                                               0.01,
                                               0.02,
                                               0.04,
                                               0.06,
                                               0.08,
                                               0.1,
                                               0.25,
                                               0.5,
                                               0.75,
                                               1.0,
                                               2.5,
                                               5.0,
                                               7.5,
                                               10.0,
                                               20.0,
                                               60.0};
inline constexpr std::array kTokenSeconds{
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0};
inline constexpr std::array kTokenCounts{
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 20000.0};

// What the worker says at the end of a text request, by its own clock.
struct TextFigures {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;
  std::uint32_t completion_tokens = 0;
  // Guesses at next tokens, the tokens in them, those that came true.
  std::uint32_t drafts = 0;
  std::uint32_t draft_tokens = 0;
  std::uint32_t accepted_tokens = 0;
  std::chrono::nanoseconds queue{0};
  std::chrono::nanoseconds prefill{0};
  std::chrono::nanoseconds decode{0};
};

struct ModelMetrics {
  std::uint64_t running = 0;
  std::uint64_t waiting = 0;
  std::map<std::string, std::uint64_t> success;  // by finish reason
  std::map<std::string, std::uint64_t> failure;  // by error name
  std::uint64_t prompt_tokens = 0;
  // Prompt tokens of text requests, which alone have prefixes, and those that were found.
  std::uint64_t sought_tokens = 0;
  std::uint64_t cached_tokens = 0;
  std::uint64_t generation_tokens = 0;
  std::uint64_t drafts = 0;
  std::uint64_t draft_tokens = 0;
  std::uint64_t accepted_tokens = 0;
  // By the daemon's clock, loading included.
  Histogram latency{kRequestSeconds};
  Histogram first_token{kFirstTokenSeconds};
  Histogram inter_token{kTokenSeconds};
  // By the worker's clock.
  Histogram queue{kRequestSeconds};
  Histogram inference{kRequestSeconds};
  Histogram prefill{kRequestSeconds};
  Histogram decode{kRequestSeconds};
  Histogram time_per_token{kTokenSeconds};
  Histogram request_prompt{kTokenCounts};
  Histogram request_generation{kTokenCounts};

  [[nodiscard]] std::uint64_t succeeded() const;
  [[nodiscard]] std::uint64_t failed() const;
  // A text request that was answered, or cancelled in the middle; not its prompt and generated
  // tokens, which are counted for requests of every kind.
  void count_text(const TextFigures& figures);
};

// Counts one request as waiting or running for as long as it is.
class InFlight {
 public:
  InFlight() = default;
  ~InFlight() { end(); }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

  // For its model, or for what it does with it, there is a queue.
  void wait(ModelMetrics& model);
  // From waiting; otherwise nothing.
  void run();
  void end();

 private:
  std::uint64_t* counted_ = nullptr;
  ModelMetrics* model_ = nullptr;
};

// Compute threads of one worker that schedules steps.
struct WorkerGauges {
  std::string model;
  std::uint32_t threads = 0;
  std::uint32_t most_threads = 0;
  double other_cores = 0;
};

// One server that answers for models of the runtime `openai`.
struct UpstreamGauges {
  std::string endpoint;
  std::string tier;
  bool up = false;
  std::uint64_t running = 0;
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;
};

// States of prefixes on disk, of all models.
struct PrefixDiskGauges {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t saved = 0;
  std::uint64_t dropped = 0;
  std::uint64_t bytes = 0;
  std::uint64_t limit = 0;  // 0: none are kept there
  std::uint64_t states = 0;
  std::uint64_t pinned = 0;  // of them, those of pinned prompts
  bool resting = false;      // after a failure of the disk
};

// Prompts that the operator pinned with a model that is loaded (ADR 0114).
struct PinnedPromptGauges {
  std::string model;
  std::uint64_t computing = 0;
  std::uint64_t ready = 0;
  std::uint64_t failed = 0;
  std::uint64_t tokens = 0;  // of those that are ready
};

// What is read at the moment of a scrape rather than counted.
struct Gauges {
  std::uint64_t models_loaded = 0;
  std::uint64_t model_memory = 0;
  std::uint64_t memory_budget = 0;
  std::uint64_t resident = 0;
  double cpu_seconds = 0;
  std::uint64_t audit_records = 0;
  std::uint64_t outbox_records = 0;
  std::uint64_t outbox_bytes = 0;
  std::uint64_t link_day_bytes = 0;
  std::uint64_t link_month_bytes = 0;
  bool link_held_back = false;
  std::uint64_t served_to_peers = 0;
  bool sync_connected = false;
  bool break_glass = false;
  std::uint64_t break_glass_openings = 0;
  std::uint64_t break_glass_uses = 0;
  std::uint64_t models_revoked = 0;
  std::uint64_t revocation_stops = 0;
  PrefixDiskGauges prefix_disk;
  std::vector<PinnedPromptGauges> prompts;
  std::vector<WorkerGauges> workers;
  std::vector<UpstreamGauges> upstreams;
};

class Metrics {
 public:
  // At most this many models; more are counted under "other".
  static constexpr std::size_t kMaxModels = 256;

  ModelMetrics& model(std::string_view name);
  [[nodiscard]] const std::map<std::string, ModelMetrics, std::less<>>& models() const {
    return models_;
  }
  void count_denied() { ++denied_; }
  void count_over_quota() { ++over_quota_; }
  void count_worker_exit() { ++worker_exits_; }
  [[nodiscard]] std::uint64_t denied() const { return denied_; }
  [[nodiscard]] std::uint64_t worker_exits() const { return worker_exits_; }

  // The text format 0.0.4 of Prometheus, or OpenMetrics 1.0: they differ in how counters are
  // announced and in the end.
  enum class Format : std::uint8_t { kPrometheus, kOpenMetrics };
  [[nodiscard]] std::string render(const Gauges& gauges, Format format = Format::kPrometheus) const;
  // What an Accept header asks for: OpenMetrics where it is named, as Prometheus does.
  static Format format_for(std::string_view accept);
  static std::string_view content_type(Format format);

 private:
  class Page;
  void render_models(Page& page) const;
  static void render_prefixes(Page& page, const PrefixDiskGauges& disk);
  static void render_prompts(Page& page, const std::vector<PinnedPromptGauges>& prompts);
  static void render_upstreams(Page& page, const std::vector<UpstreamGauges>& upstreams);

  std::map<std::string, ModelMetrics, std::less<>> models_;
  std::uint64_t denied_ = 0;
  std::uint64_t over_quota_ = 0;
  std::uint64_t worker_exits_ = 0;
};

// Resident bytes and CPU seconds of this process, from /proc/self; zeros if unreadable.
struct ProcessUse {
  std::uint64_t resident = 0;
  double cpu_seconds = 0;
};
ProcessUse process_use();

}  // namespace skerry::agent
