#pragma once

// One unary gRPC call as a coroutine, over gRPC's callback API.

#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include "skerry/async/task.hpp"

namespace skerry::async {

template <class Response>
struct UnaryResult {
  UnaryResult(grpc::Status s, Response r) : status(std::move(s)), response(std::move(r)) {}
  grpc::Status status;
  Response response;
};

// `start` is called once as start(ClientContext*, const Request*, Response*,
// std::function<void(grpc::Status)>), e.g.
// [&stub](auto* c, auto* q, auto* r, auto done) { stub.async()->Enroll(c, q, r, std::move(done));
// }. Resumes on the caller's executor. Cancelling the coroutine cancels the call, which then
// answers CANCELLED. Every call has a deadline.
template <class Request, class Response, class Start>
Task<UnaryResult<Response>> unary_call(Start start,
                                       Request request,
                                       std::chrono::milliseconds deadline) {
  namespace asio = boost::asio;
  struct Call {
    grpc::ClientContext context;
    Request request;
    Response response;
  };
  auto call = std::make_shared<Call>();
  call->request = std::move(request);
  call->context.set_deadline(std::chrono::system_clock::now() + deadline);
  auto initiation = [start = std::move(start), call](auto handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([weak = std::weak_ptr<Call>(call)](asio::cancellation_type) {
        if (const auto alive = weak.lock()) {
          alive->context.TryCancel();
        }
      });
    }
    auto executor = asio::get_associated_executor(handler);
    auto guard = asio::make_work_guard(executor);
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    start(&call->context,
          &call->request,
          &call->response,
          [shared, call, guard, executor](grpc::Status status) {
            asio::post(executor, [shared, status = std::move(status)]() mutable {
              auto connected = asio::get_associated_cancellation_slot(*shared);
              if (connected.is_connected()) {
                connected.clear();
              }
              std::move (*shared)(std::move(status));
            });
          });
  };
  auto status = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(grpc::Status)>(
      std::move(initiation), asio::use_awaitable);
  co_return UnaryResult<Response>(std::move(status), std::move(call->response));
}

}  // namespace skerry::async
