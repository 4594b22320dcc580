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

// The bound of a bucket: OpenMetrics wants a float, "1.0" and not "1".
std::string bound(double value) {
  std::string text = number(value);
  if (text.find_first_of(".e") == std::string::npos) {
    text += ".0";
  }
  return text;
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

}  // namespace

class Metrics::Page {
 public:
  explicit Page(Metrics::Format format) : format_(format) {}
  void family(std::string_view name, std::string_view type, std::string_view help) {
    // OpenMetrics names a counter's family without the ending of its samples.
    if (format_ == Metrics::Format::kOpenMetrics && type == "counter") {
      name.remove_suffix(kTotal.size());
    }
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
    for (std::size_t i = 0; i < histogram.bounds().size(); ++i) {
      line(base + "_bucket",
           labels + ",le=\"" + bound(histogram.bounds()[i]) + "\"",
           std::to_string(histogram.buckets()[i]));
    }
    line(base + "_bucket", labels + ",le=\"+Inf\"", std::to_string(histogram.count()));
    line(base + "_sum", labels, number(histogram.sum()));
    line(base + "_count", labels, std::to_string(histogram.count()));
  }
  [[nodiscard]] std::string text() && {
    if (format_ == Metrics::Format::kOpenMetrics) {
      text_ += "# EOF\n";
    }
    return std::move(text_);
  }

 private:
  static constexpr std::string_view kTotal = "_total";

  Metrics::Format format_;
  std::string text_;
};

namespace {

std::uint64_t total(const std::map<std::string, std::uint64_t>& counts) {
  std::uint64_t sum = 0;
  for (const auto& [name, count] : counts) {
    sum += count;
  }
  return sum;
}

}  // namespace

void Histogram::observe(double value, std::uint64_t times) {
  for (std::size_t i = 0; i < bounds_.size(); ++i) {
    if (value <= bounds_[i]) {
      buckets_[i] += times;
    }
  }
  sum_ += value * static_cast<double>(times);
  count_ += times;
}

void InFlight::wait(ModelMetrics& model) {
  end();
  model_ = &model;
  counted_ = &model.waiting;
  ++*counted_;
}

void InFlight::run() {
  if (model_ != nullptr && counted_ == &model_->waiting) {
    --*counted_;
    counted_ = &model_->running;
    ++*counted_;
  }
}

void InFlight::end() {
  if (counted_ != nullptr) {
    --*counted_;
    counted_ = nullptr;
  }
}

void ModelMetrics::count_text(const TextFigures& figures) {
  sought_tokens += figures.prompt_tokens;
  cached_tokens += figures.cached_tokens;
  drafts += figures.drafts;
  draft_tokens += figures.draft_tokens;
  accepted_tokens += figures.accepted_tokens;
  queue.observe(figures.queue);
  prefill.observe(figures.prefill);
  decode.observe(figures.decode);
  inference.observe(figures.prefill + figures.decode);
  request_prompt.observe(figures.prompt_tokens);
  request_generation.observe(figures.completion_tokens);
  // The first token belongs to the prefill.
  if (figures.completion_tokens > 1) {
    time_per_token.observe(figures.decode / (figures.completion_tokens - 1));
  }
}

Metrics::Format Metrics::format_for(std::string_view accept) {
  return accept.find("application/openmetrics-text") == std::string_view::npos
             ? Format::kPrometheus
             : Format::kOpenMetrics;
}

std::string_view Metrics::content_type(Format format) {
  return format == Format::kOpenMetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
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

void Metrics::render_models(Page& page) const {
  const auto each =
      [this, &page](
          std::string_view name, std::string_view type, std::string_view help, const auto& write) {
        page.family(name, type, help);
        for (const auto& [model_name, model] : models_) {
          write(name, "model_name=" + label_value(model_name), model);
        }
      };
  const auto value = [&](std::string_view name,
                         std::string_view type,
                         std::string_view help,
                         std::uint64_t ModelMetrics::*field) {
    each(name, type, help, [&](auto sample, const auto& labels, const ModelMetrics& model) {
      page.line(sample, labels, std::to_string(model.*field));
    });
  };
  const auto split = [&](std::string_view name,
                         std::string_view help,
                         std::string_view label,
                         std::map<std::string, std::uint64_t> ModelMetrics::*field) {
    each(name, "counter", help, [&](auto sample, const auto& labels, const ModelMetrics& model) {
      for (const auto& [kind, count] : model.*field) {
        page.line(sample,
                  labels + "," + std::string{label} + "=" + label_value(kind),
                  std::to_string(count));
      }
    });
  };
  const auto spread = [&](std::string_view name,
                          std::string_view help,
                          Histogram ModelMetrics::*field) {
    each(name, "histogram", help, [&](auto sample, const auto& labels, const ModelMetrics& model) {
      page.histogram(sample, labels, model.*field);
    });
  };
  value(metric::kRequestsRunning,
        "gauge",
        "Requests that a model is answering.",
        &ModelMetrics::running);
  value(metric::kRequestsWaiting,
        "gauge",
        "Requests that wait for a model or for their turn.",
        &ModelMetrics::waiting);
  split(metric::kRequestSuccess,
        "Requests that were answered.",
        "finished_reason",
        &ModelMetrics::success);
  split(metric::kRequestFailure, "Requests that failed.", "code", &ModelMetrics::failure);
  value(metric::kPromptTokens, "counter", "Prompt tokens.", &ModelMetrics::prompt_tokens);
  value(
      metric::kGenerationTokens, "counter", "Tokens generated.", &ModelMetrics::generation_tokens);
  value(metric::kPrefixQueries,
        "counter",
        "Prompt tokens looked for in the prefix cache.",
        &ModelMetrics::sought_tokens);
  value(metric::kPrefixHits,
        "counter",
        "Prompt tokens found there and not computed.",
        &ModelMetrics::cached_tokens);
  value(metric::kDrafts,
        "counter",
        "Batches in which an answer's next tokens were guessed.",
        &ModelMetrics::drafts);
  value(metric::kDraftTokens, "counter", "Tokens guessed.", &ModelMetrics::draft_tokens);
  value(metric::kAcceptedTokens,
        "counter",
        "Guessed tokens that came true.",
        &ModelMetrics::accepted_tokens);
  spread(metric::kTimeToFirstToken, "From request to first text.", &ModelMetrics::first_token);
  spread(metric::kInterToken, "From token to token.", &ModelMetrics::inter_token);
  spread(metric::kTimePerToken,
         "Mean time per token after the first, per request.",
         &ModelMetrics::time_per_token);
  spread(metric::kRequestLatency, "From request to last event.", &ModelMetrics::latency);
  spread(metric::kQueueTime, "From the worker's queue to its engine.", &ModelMetrics::queue);
  spread(metric::kInferenceTime, "In the engine, prefill and decode.", &ModelMetrics::inference);
  spread(metric::kPrefillTime, "Until the first token was sampled.", &ModelMetrics::prefill);
  spread(metric::kDecodeTime, "From the first token to the last.", &ModelMetrics::decode);
  spread(metric::kRequestPrompt, "Prompt tokens per request.", &ModelMetrics::request_prompt);
  spread(metric::kRequestGeneration,
         "Tokens generated per request.",
         &ModelMetrics::request_generation);
}

void Metrics::render_prefixes(Page& page, const PrefixDiskGauges& disk) {
  page.counter(metric::kPrefixDiskHits,
               "Prompts for which a state was read from disk.",
               static_cast<double>(disk.hits));
  page.counter(metric::kPrefixDiskMisses,
               "Prompts for which the disk had none.",
               static_cast<double>(disk.misses));
  page.counter(metric::kPrefixDiskSaved,
               "States of prefixes written to disk.",
               static_cast<double>(disk.saved));
  page.counter(metric::kPrefixDiskDropped,
               "States that went, for room or because they were of no use.",
               static_cast<double>(disk.dropped));
  page.gauge(metric::kPrefixDiskBytes, "What they take on disk.", static_cast<double>(disk.bytes));
  page.gauge(metric::kPrefixDiskLimit, "What they may take.", static_cast<double>(disk.limit));
  page.gauge(metric::kPrefixDiskStates, "How many there are.", static_cast<double>(disk.states));
}

void Metrics::render_prompts(Page& page, const std::vector<PinnedPromptGauges>& prompts) {
  page.family(metric::kPinnedPrompts, "gauge", "Prompts pinned with a loaded model, by state.");
  for (const PinnedPromptGauges& one : prompts) {
    const std::string model = "model_name=" + label_value(one.model) + ",state=";
    page.line(metric::kPinnedPrompts, model + "\"computing\"", std::to_string(one.computing));
    page.line(metric::kPinnedPrompts, model + "\"ready\"", std::to_string(one.ready));
    page.line(metric::kPinnedPrompts, model + "\"failed\"", std::to_string(one.failed));
  }
  page.family(metric::kPinnedTokens, "gauge", "Tokens of those that are ready.");
  for (const PinnedPromptGauges& one : prompts) {
    page.line(
        metric::kPinnedTokens, "model_name=" + label_value(one.model), std::to_string(one.tokens));
  }
}

void Metrics::render_upstreams(Page& page, const std::vector<UpstreamGauges>& upstreams) {
  if (upstreams.empty()) {
    return;
  }
  const auto labels = [](const UpstreamGauges& upstream) {
    return "endpoint=" + label_value(upstream.endpoint) + ",tier=" + label_value(upstream.tier);
  };
  page.family(metric::kUpstreamUp, "gauge", "1 while a server for upstream models is well.");
  for (const UpstreamGauges& upstream : upstreams) {
    page.line(metric::kUpstreamUp, labels(upstream), upstream.up ? "1" : "0");
  }
  page.family(metric::kUpstreamRunning, "gauge", "Requests that it is answering for this gateway.");
  for (const UpstreamGauges& upstream : upstreams) {
    page.line(metric::kUpstreamRunning, labels(upstream), std::to_string(upstream.running));
  }
  page.family(metric::kUpstreamRequests, "counter", "Requests that it was given.");
  for (const UpstreamGauges& upstream : upstreams) {
    page.line(metric::kUpstreamRequests,
              labels(upstream) + ",outcome=\"answered\"",
              std::to_string(upstream.answered));
    page.line(metric::kUpstreamRequests,
              labels(upstream) + ",outcome=\"failed\"",
              std::to_string(upstream.failed));
  }
}

std::string Metrics::render(const Gauges& gauges, Format format) const {
  Page page{format};
  render_models(page);
  render_prefixes(page, gauges.prefix_disk);
  render_prompts(page, gauges.prompts);
  render_upstreams(page, gauges.upstreams);
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
