#include "fleet_views.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "device_standing.hpp"

namespace skerry::controller {
namespace {

namespace pb = fleet::v1;

constexpr std::size_t kMaxChunks = 100'000;
constexpr std::uint32_t kDefaultPoints = 10'000;
constexpr std::uint32_t kMaxPoints = 100'000;

std::uint64_t to_unsigned(std::int64_t value) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
}

Error damaged(std::string_view what) {
  return Error{Error::Code::kDatabase, std::string{what} + " is damaged in the store"};
}

pb::RolloutDevice rollout_device_view(const RolloutDeviceRecord& device,
                                      bool online,
                                      const std::vector<SlotReportRecord>& reports,
                                      const std::string& slot) {
  pb::RolloutDevice out;
  out.set_device_id(device.device_id);
  out.set_wave(device.wave);
  const bool settled = device.status == DeviceStatus::kCommitted ||
                       device.status == DeviceStatus::kRejected ||
                       device.status == DeviceStatus::kFailed;
  out.set_status(!settled && !online ? "offline" : std::string{to_string(device.status)});
  for (const auto& report : reports) {
    if (report.slot == slot && report.generation == device.generation && device.generation > 0) {
      // An unreadable report shows as an empty one; the status above is what counts.
      static_cast<void>(out.mutable_report()->ParseFromString(report.report));
    }
  }
  return out;
}

using SeriesKey = std::pair<std::string, std::map<std::string, std::string>>;

}  // namespace

Result<pb::Device> device_view(ServiceContext& context, const DeviceRecord& device) {
  pb::Device out;
  out.set_device_id(device.device_id);
  out.set_tenant_id(device.tenant_id);
  out.set_site_id(device.site_id);
  out.set_note(device.note);
  if (!out.mutable_info()->ParseFromString(device.info)) {
    return damaged("the description of " + device.device_id);
  }
  out.set_connected(context.gateway.connected(device.device_id));
  out.set_enrolled_unix_ms(to_unsigned(device.enrolled_ms));
  out.set_last_seen_unix_ms(to_unsigned(device.last_seen_ms));
  out.set_protocol_version(static_cast<std::uint32_t>(device.protocol_version));
  out.set_certificate_expires_unix_ms(to_unsigned(device.certificate_expires_ms));
  const auto reports = context.store.reports(device.device_id);
  if (!reports) {
    return reports.error();
  }
  for (const auto& report : *reports) {
    if (!out.add_slots()->ParseFromString(report.report)) {
      return damaged("a report of " + device.device_id);
    }
  }
  const auto witness = context.store.witness(device.device_id);
  if (!witness) {
    return witness.error();
  }
  if (*witness) {
    out.mutable_audit()->set_note((**witness).note);
    out.mutable_audit()->set_size(to_unsigned((**witness).size));
    if (const auto root = from_hex((**witness).root)) {
      out.mutable_audit()->set_root(std::string{as_text(*root)});
    }
    out.mutable_audit()->set_verifier_key((**witness).verifier_key);
    out.set_audit_flag((**witness).flag);
  }
  const auto life = context.store.life(device.device_id);
  if (!life) {
    return life.error();
  }
  const Standing standing = standing_of(*life);
  out.set_standing(std::string{standing.word});
  out.set_standing_reason(standing.reason);
  out.set_standing_unix_ms(to_unsigned(standing.since_ms));
  if (!life->clone_flag.empty()) {
    out.set_clone_flag(life->clone_flag + " (seen " + std::to_string(life->clone_count) +
                       (life->clone_count == 1 ? " time)" : " times)"));
  }
  return out;
}

Result<pb::Rollout> rollout_view(ServiceContext& context, const std::string& rollout_id) {
  const auto found = context.store.find_rollout(rollout_id);
  if (!found) {
    return found.error();
  }
  if (!*found) {
    return Error{Error::Code::kNotFound,
                 "there is no rollout \"" + rollout_id.substr(0, 80) + "\""};
  }
  const RolloutRecord& rollout = **found;
  const auto devices = context.store.rollout_devices(rollout_id);
  if (!devices) {
    return devices.error();
  }
  pb::Rollout out;
  out.set_rollout_id(rollout.rollout_id);
  out.set_target(rollout.target);
  out.set_manifest_digest(rollout.manifest_digest);
  out.set_slot(rollout.slot);
  out.set_state(static_cast<pb::RolloutState>(rollout.state));
  out.set_wave(rollout.wave);
  out.set_waves(rollout.waves);
  out.mutable_policy()->set_canary_devices(rollout.canary_devices);
  out.mutable_policy()->set_max_failures(rollout.max_failures);
  out.mutable_policy()->set_soak_seconds(rollout.soak_seconds);
  out.set_reason(rollout.reason);
  out.set_created_unix_ms(to_unsigned(rollout.created_ms));
  out.set_changed_unix_ms(to_unsigned(rollout.changed_ms));
  out.set_created_by(rollout.created_by);
  for (const auto& device : *devices) {
    const auto reports = context.store.reports(device.device_id);
    if (!reports) {
      return reports.error();
    }
    *out.add_devices() = rollout_device_view(
        device, context.gateway.online(device.device_id), *reports, rollout.slot);
  }
  return out;
}

pb::FleetModel model_view(const ManifestRecord& manifest) {
  pb::FleetModel out;
  out.set_target(manifest.target);
  out.set_manifest_digest(manifest.digest);
  out.set_length(to_unsigned(manifest.length));
  out.set_state(manifest.published ? "published" : "staged");
  out.set_size_bytes(to_unsigned(manifest.size_bytes));
  out.set_at_unix_ms(to_unsigned(manifest.at_ms));
  out.set_release_counter(to_unsigned(manifest.release_counter));
  for (std::size_t at = 0; at < manifest.variants.size();) {
    const auto comma = std::min(manifest.variants.find(',', at), manifest.variants.size());
    out.add_variants(manifest.variants.substr(at, comma - at));
    at = comma + 1;
  }
  return out;
}

namespace {

// Adds the points of `series` that lie in the asked time, while some are left.
void add_points(const pb::TelemetryChunk& chunk,
                const pb::TelemetrySeries& series,
                std::uint64_t from,
                std::uint64_t to,
                std::uint32_t& left,
                pb::TelemetryResult& result) {
  const int points = std::min(series.values_size(), chunk.offset_ms_size());
  for (int i = 0; i < points && left > 0; ++i) {
    const std::uint64_t at = chunk.start_unix_ms() + chunk.offset_ms(i);
    if (at < from || at > to || std::isnan(series.values(i))) {
      continue;
    }
    auto* point = result.add_points();
    point->set_at_unix_ms(at);
    point->set_value(series.values(i));
    --left;
  }
}

// One device's results: a result per series and labels, with points where a series was asked for.
class DeviceResults {
 public:
  DeviceResults(const std::string& device,
                const pb::QueryTelemetryRequest& request,
                pb::QueryTelemetryResponse& out)
      : device_(device), request_(request), out_(out) {}

  void add(const pb::TelemetryChunk& chunk,
           std::uint64_t from,
           std::uint64_t to,
           std::uint32_t& left) {
    for (const auto& series : chunk.series()) {
      if (request_.series().empty()) {
        result_of(series);
      } else if (series.name() == request_.series()) {
        add_points(chunk, series, from, to, left, result_of(series));
      }
    }
  }

 private:
  pb::TelemetryResult& result_of(const pb::TelemetrySeries& series) {
    SeriesKey key{series.name(), {series.labels().begin(), series.labels().end()}};
    auto*& result = results_[std::move(key)];
    if (result == nullptr) {
      result = out_.add_results();
      result->set_device_id(device_);
      result->set_series(series.name());
      *result->mutable_labels() = series.labels();
    }
    return *result;
  }

  const std::string& device_;
  const pb::QueryTelemetryRequest& request_;
  pb::QueryTelemetryResponse& out_;
  std::map<SeriesKey, pb::TelemetryResult*> results_;
};

}  // namespace

Result<pb::QueryTelemetryResponse> telemetry_view(Store& store,
                                                  const pb::QueryTelemetryRequest& request) {
  pb::QueryTelemetryResponse out;
  const auto marks = store.outbox_marks(request.device_id());
  if (!marks) {
    return marks.error();
  }
  std::set<std::string> devices;
  for (const auto& mark : *marks) {
    auto* stream = out.add_streams();
    stream->set_device_id(mark.device_id);
    stream->set_stream(mark.stream);
    stream->set_records(to_unsigned(mark.records));
    stream->set_highest_seq(to_unsigned(mark.highest_seq));
    stream->set_gap_records(to_unsigned(mark.gap_records));
    stream->set_duplicates_ignored(to_unsigned(mark.duplicates));
    if (mark.stream == "telemetry") {
      devices.insert(mark.device_id);
    }
  }
  constexpr auto kForever = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const std::uint64_t from = std::min(request.from_unix_ms(), kForever);
  const std::uint64_t to =
      request.to_unix_ms() == 0 ? kForever : std::min(request.to_unix_ms(), kForever);
  std::uint32_t left =
      request.limit() == 0 ? kDefaultPoints : std::min(request.limit(), kMaxPoints);
  for (const auto& device : devices) {
    const auto chunks = store.telemetry(
        device, static_cast<std::int64_t>(from), static_cast<std::int64_t>(to), kMaxChunks);
    if (!chunks) {
      return chunks.error();
    }
    DeviceResults results{device, request, out};
    for (const auto& record : *chunks) {
      pb::TelemetryChunk chunk;
      if (!chunk.ParseFromString(record.chunk)) {
        return damaged("a telemetry chunk of " + device);
      }
      results.add(chunk, from, to, left);
    }
  }
  return out;
}

}  // namespace skerry::controller
