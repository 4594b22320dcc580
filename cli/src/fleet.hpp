#pragma once

// What the subcommands of `skerry fleet` share: the options that name controller and operator, the
// mTLS channel, one unary call.

#include <chrono>
#include <memory>

#include "skerry/cli/fleet_profile.hpp"
#include "skerry/fleet/v1/operator.grpc.pb.h"

#include "invocation.hpp"
#include "remote.hpp"

namespace skerry::cli {

namespace fleet = ::skerry::fleet::v1;

// Lives as long as the parser; every subcommand reads it when it runs.
struct Fleet {
  FleetArguments arguments;
};

struct FleetConnection {
  std::string controller;
  std::unique_ptr<fleet::FleetService::Stub> stub;
};

// Reads profile, certificate and key, and connects. kUnavailable if nobody answers within ten
// seconds, with what the transport said.
Result<FleetConnection> connect_fleet(Invocation& invocation, const Fleet& options);

template <class Request, class Response>
Result<Response> call(const FleetConnection& connection,
                      grpc::Status (fleet::FleetService::Stub::*method)(grpc::ClientContext*,
                                                                        const Request&,
                                                                        Response*),
                      const Request& request,
                      std::chrono::seconds timeout = std::chrono::seconds{60}) {
  grpc::ClientContext context;
  set_deadline(context, timeout);
  Response response;
  const grpc::Status status = (connection.stub.get()->*method)(&context, request, &response);
  if (!status.ok()) {
    return to_error(status, connection.controller);
  }
  return response;
}

// Connects and calls.
template <class Request, class Response>
Result<Response> call_fleet(Invocation& invocation,
                            const Fleet& options,
                            grpc::Status (fleet::FleetService::Stub::*method)(grpc::ClientContext*,
                                                                              const Request&,
                                                                              Response*),
                            const Request& request) {
  const auto connection = connect_fleet(invocation, options);
  if (!connection) {
    return connection.error();
  }
  return call(*connection, method, request);
}

// A command of `skerry fleet`: its state has a member `fleet` of type std::shared_ptr<Fleet>.
template <class State>
std::shared_ptr<State> add_fleet_action(CLI::App* command,
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

void add_fleet_info(CLI::App& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_token(CLI::App& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_devices(CLI::App& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_models(CLI::App& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_push(CLI::App& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_publish(CLI::App& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_rollout(CLI::App& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);
void add_fleet_telemetry(CLI::App& app,
                         Invocation& invocation,
                         const std::shared_ptr<Fleet>& fleet);
void add_fleet_audit(CLI::App& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet);

// "SOAKING"
std::string rollout_state(fleet::RolloutState state);

}  // namespace skerry::cli
