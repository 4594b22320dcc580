#pragma once

// What the gRPC services share: finding the caller behind a call, running a unary handler as a
// coroutine on the control thread, the deadline that the client set.

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/post.hpp>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "skerry/agent/call_watch.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/peer_table.hpp"

#include "status.hpp"

namespace skerry::agent {

template <class Work>
Task<void> finish_unary(grpc::ServerUnaryReactor* reactor, Work work, Caller caller) {
  grpc::Status status(grpc::StatusCode::CANCELLED, "the daemon is stopping");
  try {
    // The coroutine's own copy is what is moved; version 14 takes that copying for a first move.
    status = co_await work(std::move(caller));  // NOLINT(bugprone-use-after-move)
  } catch (const std::exception& error) {
    // Only a cancelled task throws; the call is answered all the same.
    status = grpc::Status(grpc::StatusCode::CANCELLED, error.what());
  }
  reactor->Finish(std::move(status));
}

// The reactor of a call that is worth ending early: `watch` is told, on the control thread, when
// the client disconnects, cancels or its deadline passes.
class WatchedReactor final : public grpc::ServerUnaryReactor {
 public:
  WatchedReactor(Core& core, std::shared_ptr<CallWatch> watch)
      : core_(core), watch_(std::move(watch)) {}

  void OnCancel() override {
    boost::asio::post(core_.control, [watch = watch_] { watch->abandon(); });
  }
  void OnDone() override { delete this; }

 private:
  Core& core_;
  std::shared_ptr<CallWatch> watch_;
};

// Runs `work(caller)` (a Task<grpc::Status>) on the control thread and finishes the call with what
// it returns. Request and response stay valid until then. With a `watch`, the work is told when the
// client goes; it is answered all the same, to nobody.
template <class Work>
grpc::ServerUnaryReactor* run_unary(Core& core,
                                    const PeerTable& peers,
                                    grpc::CallbackServerContext* context,
                                    const char* name,
                                    Work work,
                                    std::shared_ptr<CallWatch> watch = nullptr) {
  // gRPC owns the reactor from here to OnDone.
  grpc::ServerUnaryReactor* reactor =
      watch ? new WatchedReactor(core, std::move(watch)) : context->DefaultReactor();
  Result<Caller> caller = peers.find(context->peer());
  if (!caller) {
    reactor->Finish(to_status(caller.error()));
    return reactor;
  }
  boost::asio::post(
      core.control,
      [&core, reactor, name, work = std::move(work), caller = *std::move(caller)]() mutable {
        core.tasks.spawn(name, finish_unary(reactor, std::move(work), std::move(caller)));
      });
  return reactor;
}

// Time left until the client's deadline; none if it set none.
inline std::optional<std::chrono::nanoseconds> time_left(
    const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) {
    return std::nullopt;
  }
  const auto left = deadline - std::chrono::system_clock::now();
  if (left > std::chrono::hours{24 * 365}) {
    return std::nullopt;
  }
  return std::max<std::chrono::nanoseconds>(left, std::chrono::nanoseconds{1});
}

// The shorter of the client's gRPC deadline and the one in the request (0: none).
inline std::optional<std::chrono::nanoseconds> shorter(
    std::optional<std::chrono::nanoseconds> transport, std::uint32_t hint_ms) {
  if (hint_ms == 0) {
    return transport;
  }
  const std::chrono::nanoseconds hint = std::chrono::milliseconds{hint_ms};
  return transport ? std::min(*transport, hint) : hint;
}

}  // namespace skerry::agent
