#pragma once

// Records of the store as the messages that operators see.

#include "skerry/fleet/v1/operator.pb.h"

#include "service_context.hpp"

namespace skerry::controller {

Result<fleet::v1::Device> device_view(ServiceContext& context, const DeviceRecord& device);
Result<fleet::v1::Rollout> rollout_view(ServiceContext& context, const std::string& rollout_id);
fleet::v1::FleetModel model_view(const ManifestRecord& manifest);

// Points of `series` between the times, or, for an empty series, the names alone. At most `limit`
// points in all (0: 10,000; never more than 100,000).
Result<fleet::v1::QueryTelemetryResponse> telemetry_view(
    Store& store, const fleet::v1::QueryTelemetryRequest& request);

}  // namespace skerry::controller
