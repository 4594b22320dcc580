#pragma once

// The controller's operator API as plain calls, one overload per request of skerry.fleet.v1, and
// what the subcommands of `skerry fleet` share. gRPC itself is included only by fleet.cpp. All
// calls block; all fail with kUnavailable when the controller does not answer.

#include <functional>
#include <memory>
#include <string>

#include "skerry/cli/fleet_profile.hpp"
#include "skerry/fleet/v1/operator.pb.h"

#include "invocation.hpp"

namespace skerry::cli {

namespace fleet = ::skerry::fleet::v1;

// Lives as long as the parser; every subcommand reads it when it runs.
struct Fleet {
  FleetArguments arguments;
};

class FleetConnection {
 public:
  // Reads profile, certificate and key, and connects. kUnavailable if nobody answers within ten
  // seconds, with what the transport said.
  static Result<FleetConnection> open(Invocation& invocation, const Fleet& options);
  FleetConnection(FleetConnection&&) noexcept;
  FleetConnection& operator=(FleetConnection&&) noexcept;
  ~FleetConnection();

  Result<fleet::GetControllerResponse> call(const fleet::GetControllerRequest& request) const;
  Result<fleet::CreateEnrolmentTokenResponse> call(
      const fleet::CreateEnrolmentTokenRequest& request) const;
  Result<fleet::ListDevicesResponse> call(const fleet::ListDevicesRequest& request) const;
  Result<fleet::Device> call(const fleet::GetDeviceRequest& request) const;
  Result<fleet::MissingBlobsResponse> call(const fleet::MissingBlobsRequest& request) const;
  Result<fleet::StageManifestResponse> call(const fleet::StageManifestRequest& request) const;
  Result<fleet::ListFleetModelsResponse> call(const fleet::ListFleetModelsRequest& request) const;
  Result<fleet::GetTrustMetadataResponse> call(const fleet::GetTrustMetadataRequest& request) const;
  Result<fleet::PublishResponse> call(const fleet::PublishRequest& request) const;
  Result<fleet::Rollout> call(const fleet::CreateRolloutRequest& request) const;
  Result<fleet::Rollout> call(const fleet::GetRolloutRequest& request) const;
  Result<fleet::ListRolloutsResponse> call(const fleet::ListRolloutsRequest& request) const;
  Result<fleet::Rollout> pause(const fleet::RolloutActionRequest& request) const;
  Result<fleet::Rollout> resume(const fleet::RolloutActionRequest& request) const;
  Result<fleet::Rollout> abort(const fleet::RolloutActionRequest& request) const;
  Result<fleet::QueryTelemetryResponse> call(const fleet::QueryTelemetryRequest& request) const;
  Result<fleet::ImportReportResponse> call(const fleet::ImportReportRequest& request) const;
  Result<fleet::ListAuthoritiesResponse> call(const fleet::ListAuthoritiesRequest& request) const;
  Result<fleet::ListAuthoritiesResponse> call(const fleet::RotateAuthorityRequest& request) const;
  Result<fleet::ListAuthoritiesResponse> call(const fleet::RetireAuthorityRequest& request) const;
  Result<fleet::RenewResponse> call(const fleet::RenewRequest& request) const;
  Result<fleet::Device> revoke(const fleet::DeviceActionRequest& request) const;
  Result<fleet::Device> reinstate(const fleet::DeviceActionRequest& request) const;
  Result<fleet::Device> decommission(const fleet::DeviceActionRequest& request) const;

  // Sends the header, then what `next` gives until it gives an empty piece; its failure cancels the
  // upload and is returned.
  Result<fleet::PushBlobResponse> push_blob(const fleet::PushBlobHeader& header,
                                            const std::function<Result<std::string>()>& next) const;
  // Calls `each` on every change until it returns false or the controller ends the watch
  // (kUnavailable).
  Result<void> watch(const fleet::GetRolloutRequest& request,
                     const std::function<bool(const fleet::Rollout&)>& each) const;
  Result<void> tail_audit(
      const fleet::TailControllerAuditRequest& request,
      const std::function<void(const fleet::ControllerAuditRecord&)>& each) const;

 private:
  struct Impl;
  explicit FleetConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Connects and calls.
template <class Request>
auto call_fleet(Invocation& invocation, const Fleet& options, const Request& request)
    -> decltype(std::declval<const FleetConnection&>().call(request)) {
  const auto connection = FleetConnection::open(invocation, options);
  if (!connection) {
    return connection.error();
  }
  return connection->call(request);
}

// A command of `skerry fleet`: its state has a member `fleet` of type std::shared_ptr<Fleet>.
template <class State>
std::shared_ptr<State> add_fleet_action(Command* command,
                                        Invocation& invocation,
                                        const std::shared_ptr<Fleet>& fleet,
                                        Result<int> (*run)(Invocation&, const State&)) {
  auto state = add_action<State>(command, invocation, run);
  state->fleet = fleet;
  return state;
}

struct FleetOnly {
  std::shared_ptr<Fleet> fleet;
};

void add_fleet_info(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_token(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_devices(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_models(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_push(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_publish(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_rollout(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_telemetry(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_audit(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_reports(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);

void add_fleet_ca(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_renew(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
// revoke, reinstate, decommission
void add_fleet_standing(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);

// Where the operator's certificate, key and authorities are, as the options and the profile say.
Result<FleetProfile> fleet_profile(Invocation& invocation, const Fleet& options);

// "SOAKING"
std::string rollout_state(fleet::RolloutState state);

}  // namespace skerry::cli
