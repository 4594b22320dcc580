#pragma once

// The daemon's figures and their Prometheus text. Names are constants of this header and follow
// vLLM's under our prefix; docs/metrics.md describes each with its labels. The telemetry sampler
// reads the same figures. Used on the control thread only.

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace skerry::agent {

namespace metric {
inline constexpr std::string_view kRequestsRunning = "skerry_num_requests_running";
inline constexpr std::string_view kRequestSuccess = "skerry_request_success_total";
inline constexpr std::string_view kRequestFailure = "skerry_request_failure_total";
inline constexpr std::string_view kPromptTokens = "skerry_prompt_tokens_total";
inline constexpr std::string_view kGenerationTokens = "skerry_generation_tokens_total";
inline constexpr std::string_view kCacheQueries = "skerry_prefix_cache_queries_total";
inline constexpr std::string_view kCacheHits = "skerry_prefix_cache_hits_total";
inline constexpr std::string_view kRequestLatency = "skerry_e2e_request_latency_seconds";
inline constexpr std::string_view kTimeToFirstToken = "skerry_time_to_first_token_seconds";
inline constexpr std::string_view kDenied = "skerry_requests_denied_total";
inline constexpr std::string_view kOverQuota = "skerry_requests_over_quota_total";
inline constexpr std::string_view kWorkerExits = "skerry_worker_unclean_exits_total";
inline constexpr std::string_view kModelsLoaded = "skerry_models_loaded";
inline constexpr std::string_view kWorkerThreads = "skerry_worker_threads";
inline constexpr std::string_view kWorkerMostThreads = "skerry_worker_threads_limit";
inline constexpr std::string_view kWorkerOtherCores = "skerry_worker_other_cores";
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
  static constexpr std::array kBounds{
      0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0};
  void observe(double seconds);
  [[nodiscard]] double sum() const { return sum_; }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  // Cumulative counts, one per bound.
  [[nodiscard]] const std::array<std::uint64_t, kBounds.size()>& buckets() const {
    return buckets_;
  }

 private:
  std::array<std::uint64_t, kBounds.size()> buckets_{};
  double sum_ = 0;
  std::uint64_t count_ = 0;
};

struct ModelMetrics {
  std::uint64_t running = 0;
  std::map<std::string, std::uint64_t> success;  // by finish reason
  std::map<std::string, std::uint64_t> failure;  // by error name
  std::uint64_t prompt_tokens = 0;
  std::uint64_t generation_tokens = 0;
  std::uint64_t cache_queries = 0;  // prompt tokens of answers
  std::uint64_t cache_hits = 0;     // of them, those that the prefix cache had
  Histogram latency;
  Histogram first_token;

  [[nodiscard]] std::uint64_t succeeded() const;
  [[nodiscard]] std::uint64_t failed() const;
};

// Compute threads of one worker that schedules steps.
struct WorkerGauges {
  std::string model;
  std::uint32_t threads = 0;
  std::uint32_t most_threads = 0;
  double other_cores = 0;
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
  std::vector<WorkerGauges> workers;
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

  // The text exposition format, version 0.0.4.
  [[nodiscard]] std::string render(const Gauges& gauges) const;

 private:
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
