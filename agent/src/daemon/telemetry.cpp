#include "skerry/agent/telemetry.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/fleet/v1/device.pb.h"

namespace skerry::agent {
namespace {

std::int64_t to_ms(WallTime time) {
  return time.time_since_epoch().count();
}

}  // namespace

Telemetry::Telemetry(Core& core,
                     const Metrics& metrics,
                     Outbox& outbox,
                     std::function<Gauges()> gauges)
    : core_(core), metrics_(metrics), outbox_(outbox), gauges_(std::move(gauges)) {}

Task<void> Telemetry::run() {
  while (true) {
    co_await async::sleep_for(core_.settings->telemetry().interval);
    if (core_.settings->controller().address.empty()) {
      continue;
    }
    std::string chunk = sample();
    if (chunk.empty()) {
      continue;
    }
    auto write = [this, body = std::move(chunk)] { return outbox_.append(kTelemetryStream, body); };
    Result<std::uint64_t> written = co_await async::offload(core_.disk, std::move(write));
    if (!written) {
      core_.log.warning("telemetry.dropped", written.error());
    }
  }
}

void Telemetry::add(std::string_view name, const std::string& model, double value) {
  std::vector<double>& values = series_[Key{std::string{name}, model}];
  // A series that began later has no value for the points before it.
  values.resize(times_.size() - 1, std::numeric_limits<double>::quiet_NaN());
  values.push_back(value);
}

std::string Telemetry::sample() {
  times_.push_back(core_.clock.wall_now());
  const Gauges gauges = gauges_();
  // Counters go as differences: a restart of the daemon is then no jump.
  const auto count = [this](std::string_view name, const std::string& model, double total) {
    double& last = last_[Key{std::string{name}, model}];
    add(name, model, total - last);
    last = total;
  };
  count("cpu_seconds", "", gauges.cpu_seconds);
  add("resident_bytes", "", static_cast<double>(gauges.resident));
  add("models_loaded", "", static_cast<double>(gauges.models_loaded));
  add("model_memory_bytes", "", static_cast<double>(gauges.model_memory));
  add("outbox_bytes", "", static_cast<double>(gauges.outbox_bytes));
  add("link_day_bytes", "", static_cast<double>(gauges.link_day_bytes));
  count("peer_served_bytes", "", static_cast<double>(gauges.served_to_peers));
  count("denied", "", static_cast<double>(metrics_.denied()));
  add("break_glass", "", gauges.break_glass ? 1.0 : 0.0);
  count("break_glass_openings", "", static_cast<double>(gauges.break_glass_openings));
  add("models_revoked", "", static_cast<double>(gauges.models_revoked));
  count("revocation_stops", "", static_cast<double>(gauges.revocation_stops));
  count("break_glass_uses", "", static_cast<double>(gauges.break_glass_uses));
  count("worker_exits", "", static_cast<double>(metrics_.worker_exits()));
  for (const auto& [name, model] : metrics_.models()) {
    count("requests", name, static_cast<double>(model.succeeded()));
    count("failures", name, static_cast<double>(model.failed()));
    count("prompt_tokens", name, static_cast<double>(model.prompt_tokens));
    count("generation_tokens", name, static_cast<double>(model.generation_tokens));
    count("latency_seconds", name, model.latency.sum());
    count("first_token_seconds", name, model.first_token.sum());
  }
  for (auto& [key, values] : series_) {
    values.resize(times_.size(), std::numeric_limits<double>::quiet_NaN());
  }
  if (times_.size() < kPoints) {
    return {};
  }
  fleet::v1::OutboxRecord record;
  fleet::v1::TelemetryChunk& chunk = *record.mutable_telemetry();
  const std::int64_t start = to_ms(times_.front());
  chunk.set_start_unix_ms(static_cast<std::uint64_t>(std::max<std::int64_t>(start, 0)));
  for (const WallTime time : times_) {
    // A clock that was set back gives no negative offset.
    const std::int64_t offset =
        std::clamp<std::int64_t>(to_ms(time) - start, 0, std::numeric_limits<std::uint32_t>::max());
    chunk.add_offset_ms(static_cast<std::uint32_t>(offset));
  }
  chunk.set_boot_id(boot_id());
  for (const auto& [key, values] : series_) {
    fleet::v1::TelemetrySeries& series = *chunk.add_series();
    series.set_name(key.name);
    if (!key.model.empty()) {
      (*series.mutable_labels())["model"] = key.model;
    }
    series.mutable_values()->Add(values.begin(), values.end());
  }
  times_.clear();
  series_.clear();
  return record.SerializeAsString();
}

}  // namespace skerry::agent
