#include "skerry/agent/metrics.hpp"

#include <cstdio>
#include <functional>
#include <unistd.h>

#include <sys/resource.h>

namespace skerry::agent {
namespace {

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", value);
  return text.data();
}

// A label value: backslash, quote and line feed are escaped.
std::string label_value(std::string_view value) {
  std::string text{"\""};
  for (const char c : value) {
    if (c == '\\' || c == '"') {
      text += '\\';
      text += c;
    } else if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  return text + '"';
}

class Page {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    text_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    text_.append(name).append(" ").append(type).append("\n");
  }
  void line(std::string_view name, std::string_view labels, const std::string& value) {
    text_.append(name);
    if (!labels.empty()) {
      text_.append("{").append(labels).append("}");
    }
    text_.append(" ").append(value).append("\n");
  }
  void gauge(std::string_view name, std::string_view help, double value) {
    family(name, "gauge", help);
    line(name, "", number(value));
  }
  void counter(std::string_view name, std::string_view help, double value) {
    family(name, "counter", help);
    line(name, "", number(value));
  }
  void histogram(std::string_view name, const std::string& labels, const Histogram& histogram) {
    const std::string base{name};
    for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) {
      line(base + "_bucket",
           labels + ",le=\"" + number(Histogram::kBounds[i]) + "\"",
           std::to_string(histogram.buckets()[i]));
    }
    line(base + "_bucket", labels + ",le=\"+Inf\"", std::to_string(histogram.count()));
    line(base + "_sum", labels, number(histogram.sum()));
    line(base + "_count", labels, std::to_string(histogram.count()));
  }
  [[nodiscard]] std::string text() && { return std::move(text_); }

 private:
  std::string text_;
};

std::uint64_t total(const std::map<std::string, std::uint64_t>& counts) {
  std::uint64_t sum = 0;
  for (const auto& [name, count] : counts) {
    sum += count;
  }
  return sum;
}

}  // namespace

void Histogram::observe(double seconds) {
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    if (seconds <= kBounds[i]) {
      ++buckets_[i];
    }
  }
  sum_ += seconds;
  ++count_;
}

std::uint64_t ModelMetrics::succeeded() const {
  return total(success);
}

std::uint64_t ModelMetrics::failed() const {
  return total(failure);
}

ModelMetrics& Metrics::model(std::string_view name) {
  const auto found = models_.find(name);
  if (found != models_.end()) {
    return found->second;
  }
  return models_[models_.size() < kMaxModels ? std::string{name} : std::string{"other"}];
}

std::string Metrics::render(const Gauges& gauges) const {
  Page page;
  const auto each = [this, &page](const auto& write) {
    for (const auto& [name, model] : models_) {
      write(page, "model_name=" + label_value(name), model);
    }
  };
  page.family(metric::kRequestsRunning, "gauge", "Requests that a model is answering.");
  each([](Page& out, const std::string& labels, const ModelMetrics& model) {
    out.line(metric::kRequestsRunning, labels, std::to_string(model.running));
  });
  page.family(metric::kRequestSuccess, "counter", "Requests that were answered.");
  each([](Page& out, const std::string& labels, const ModelMetrics& model) {
    for (const auto& [reason, count] : model.success) {
      out.line(metric::kRequestSuccess,
               labels + ",finished_reason=" + label_value(reason),
               std::to_string(count));
    }
  });
  page.family(metric::kRequestFailure, "counter", "Requests that failed.");
  each([](Page& out, const std::string& labels, const ModelMetrics& model) {
    for (const auto& [code, count] : model.failure) {
      out.line(
          metric::kRequestFailure, labels + ",code=" + label_value(code), std::to_string(count));
    }
  });
  page.family(metric::kPromptTokens, "counter", "Prompt tokens read.");
  each([](Page& out, const std::string& labels, const ModelMetrics& model) {
    out.line(metric::kPromptTokens, labels, std::to_string(model.prompt_tokens));
  });
  page.family(metric::kGenerationTokens, "counter", "Tokens generated.");
  each([](Page& out, const std::string& labels, const ModelMetrics& model) {
    out.line(metric::kGenerationTokens, labels, std::to_string(model.generation_tokens));
  });
  page.family(
      metric::kCacheQueries, "counter", "Prompt tokens that the prefix cache was asked for.");
  each([](Page& out, const std::string& labels, const ModelMetrics& model) {
    out.line(metric::kCacheQueries, labels, std::to_string(model.cache_queries));
  });
  page.family(metric::kCacheHits, "counter", "Prompt tokens that the prefix cache had.");
  each([](Page& out, const std::string& labels, const ModelMetrics& model) {
    out.line(metric::kCacheHits, labels, std::to_string(model.cache_hits));
  });
  page.family(metric::kRequestLatency, "histogram", "From request to last event.");
  each([](Page& out, const std::string& labels, const ModelMetrics& model) {
    out.histogram(metric::kRequestLatency, labels, model.latency);
  });
  page.family(metric::kTimeToFirstToken, "histogram", "From request to first text.");
  each([](Page& out, const std::string& labels, const ModelMetrics& model) {
    out.histogram(metric::kTimeToFirstToken, labels, model.first_token);
  });
  page.counter(metric::kDenied, "Calls that the policy denied.", static_cast<double>(denied_));
  page.counter(metric::kOverQuota,
               "Requests that a role's quota refused.",
               static_cast<double>(over_quota_));
  page.counter(metric::kWorkerExits,
               "Workers that ended without being asked to.",
               static_cast<double>(worker_exits_));
  page.gauge(
      metric::kModelsLoaded, "Models held by a worker.", static_cast<double>(gauges.models_loaded));
  const auto workers = [&](std::string_view name, std::string_view help, const auto& value) {
    page.family(name, "gauge", help);
    for (const WorkerGauges& worker : gauges.workers) {
      page.line(name, "model_name=" + label_value(worker.model), number(value(worker)));
    }
  };
  workers(metric::kWorkerThreads, "Threads that a worker computes with.", [](const auto& worker) {
    return static_cast<double>(worker.threads);
  });
  workers(metric::kWorkerMostThreads, "The most that it would use.", [](const auto& worker) {
    return static_cast<double>(worker.most_threads);
  });
  workers(metric::kWorkerOtherCores,
          "Cores' worth of time that others take from it.",
          [](const auto& worker) { return worker.other_cores; });
  page.gauge(metric::kModelMemory,
             "Memory that loaded models are counted with.",
             static_cast<double>(gauges.model_memory));
  page.gauge(metric::kMemoryBudget,
             "What all models together may take.",
             static_cast<double>(gauges.memory_budget));
  page.gauge(metric::kResident,
             "Resident memory of the daemon, workers apart.",
             static_cast<double>(gauges.resident));
  page.counter(metric::kCpuSeconds, "CPU time of the daemon.", gauges.cpu_seconds);
  page.gauge(
      metric::kAuditRecords, "Size of the audit log.", static_cast<double>(gauges.audit_records));
  page.gauge(metric::kOutboxRecords,
             "Records waiting for the controller.",
             static_cast<double>(gauges.outbox_records));
  page.gauge(
      metric::kOutboxBytes, "Their bytes on disk.", static_cast<double>(gauges.outbox_bytes));
  page.gauge(metric::kLinkDayBytes,
             "Bytes of blobs that came over the link today.",
             static_cast<double>(gauges.link_day_bytes));
  page.gauge(metric::kLinkMonthBytes,
             "The same of this month.",
             static_cast<double>(gauges.link_month_bytes));
  page.gauge(metric::kLinkHeldBack,
             "1 while a budget or quiet hours hold the link back.",
             gauges.link_held_back);
  page.counter(metric::kPeerServedBytes,
               "Bytes of blobs that other gateways got from this one.",
               static_cast<double>(gauges.served_to_peers));
  page.gauge(metric::kSyncConnected, "1 while the controller is connected.", gauges.sync_connected);
  page.gauge(metric::kBreakGlass, "1 while break-glass is on.", gauges.break_glass);
  page.counter(metric::kBreakGlassOpenings,
               "Times that break-glass was turned on.",
               static_cast<double>(gauges.break_glass_openings));
  page.counter(metric::kBreakGlassUses,
               "Acts that break-glass allowed and the policy denied.",
               static_cast<double>(gauges.break_glass_uses));
  page.gauge(metric::kModelsRevoked,
             "Active models that a revocation names.",
             static_cast<double>(gauges.models_revoked));
  page.counter(metric::kRevocationStops,
               "Models that a revocation ended.",
               static_cast<double>(gauges.revocation_stops));
  return std::move(page).text();
}

ProcessUse process_use() {
  ProcessUse use;
  if (std::FILE* file = std::fopen("/proc/self/statm", "re"); file != nullptr) {
    unsigned long long size = 0;
    unsigned long long resident = 0;
    if (std::fscanf(file, "%llu %llu", &size, &resident) == 2) {
      use.resident = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    }
    std::fclose(file);
  }
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    use.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  return use;
}

}  // namespace skerry::agent
