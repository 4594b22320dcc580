#pragma once

// The client side of a bidirectional gRPC stream for coroutines: `read` and `write` are awaited on
// one executor, at most one of each at a time; gRPC's callback threads only post results back.
//
//   auto stream = BidiStream<Out, In>::create(executor);
//   stub->async()->Connect(&stream->context(), stream->reactor());
//   stream->start();
//   while (auto message = co_await stream->read()) { … }
//   grpc::Status status = co_await stream->finish();

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/status.h>

#include "skerry/async/task.hpp"

namespace skerry::async {

template <class Out, class In>
class BidiStream : public std::enable_shared_from_this<BidiStream<Out, In>> {
 public:
  static std::shared_ptr<BidiStream> create(boost::asio::any_io_executor executor) {
    return std::shared_ptr<BidiStream>(new BidiStream(std::move(executor)));
  }

  grpc::ClientContext& context() { return context_; }
  grpc::ClientBidiReactor<Out, In>* reactor() { return &reactor_; }

  // Begins the call; the stream keeps itself alive until gRPC reports its end.
  void start() {
    reactor_.keep_alive = this->shared_from_this();
    reactor_.StartRead(&incoming_);
    reactor_.StartCall();
  }

  // The next message, or nothing when the stream has ended (see `finish`). A cancelled reader
  // throws operation_aborted; the stream itself is not cancelled by that.
  Task<std::optional<In>> read() {
    const auto self = this->shared_from_this();
    while (received_.empty() && !ended_) {
      co_await wait(changed_);
    }
    if (received_.empty()) {
      co_return std::nullopt;
    }
    std::optional<In> message(std::move(received_.front()));
    received_.pop_front();
    co_return message;
  }

  // Queues `message` for sending, in order. Ignored after the end. Call on the executor.
  void write(Out message) {
    if (ended_) {
      return;
    }
    outgoing_.push_back(std::move(message));
    if (outgoing_.size() == 1) {
      send_front();
    }
  }

  // Messages queued or being sent: senders of bulk data hold back above a bound of their own.
  [[nodiscard]] std::size_t backlog() const { return outgoing_.size(); }

  // Ends the call at once with CANCELLED.
  void cancel() { context_.TryCancel(); }

  // Waits for the end and returns the call's status. Cancel first unless the peer ends the stream.
  Task<grpc::Status> finish() {
    const auto self = this->shared_from_this();
    while (!ended_) {
      co_await wait(changed_);
    }
    co_return status_;
  }

 private:
  // gRPC calls these on its own threads; results are handed to the executor. A read is always
  // outstanding until the one that fails, so the call cannot be done before `closed_` is set: that
  // is what makes a write from the executor safe (the call is gone once OnDone has run).
  class Reactor final : public grpc::ClientBidiReactor<Out, In> {
   public:
    explicit Reactor(BidiStream& owner) : owner_(owner) {}
    void OnReadDone(bool ok) override {
      if (!ok) {
        const std::lock_guard lock{owner_.closing_};
        owner_.closed_ = true;
        return;
      }
      boost::asio::post(owner_.executor_,
                        [self = keep_alive, message = std::move(owner_.incoming_)]() mutable {
                          self->on_message(std::move(message));
                        });
      owner_.incoming_ = In();
      this->StartRead(&owner_.incoming_);
    }
    void OnWriteDone(bool ok) override {
      boost::asio::post(owner_.executor_, [self = keep_alive, ok] { self->on_write(ok); });
    }
    void OnDone(const grpc::Status& status) override {
      boost::asio::post(owner_.executor_,
                        [self = std::move(keep_alive), status] { self->on_done(status); });
    }
    std::shared_ptr<BidiStream> keep_alive;

   private:
    BidiStream& owner_;
  };

  explicit BidiStream(boost::asio::any_io_executor executor)
      : executor_(std::move(executor)), reactor_(*this), changed_(executor_) {
    changed_.expires_at(boost::asio::steady_timer::time_point::max());
  }

  void on_message(In message) {
    received_.push_back(std::move(message));
    changed_.cancel();
  }

  void send_front() {
    const std::lock_guard lock{closing_};
    if (closed_) {
      outgoing_.clear();
    } else {
      reactor_.StartWrite(&outgoing_.front());
    }
  }

  void on_write(bool ok) {
    outgoing_.pop_front();
    if (!ok) {
      outgoing_.clear();
    }
    if (!outgoing_.empty()) {
      send_front();
    }
    changed_.cancel();
  }

  void on_done(const grpc::Status& status) {
    status_ = status;
    ended_ = true;
    changed_.cancel();
  }

  // Wakes when `timer` is cancelled; throws only if the calling coroutine itself was cancelled.
  static Task<void> wait(boost::asio::steady_timer& timer) {
    namespace asio = boost::asio;
    boost::system::error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    co_await timer.async_wait(token);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      throw boost::system::system_error(asio::error::operation_aborted);
    }
  }

  boost::asio::any_io_executor executor_;
  grpc::ClientContext context_;
  Reactor reactor_;
  boost::asio::steady_timer changed_;
  In incoming_;  // of the reactor alone
  std::mutex closing_;
  bool closed_ = false;  // the last read has failed: nothing more can be sent
  std::deque<In> received_;
  std::deque<Out> outgoing_;
  grpc::Status status_;
  bool ended_ = false;
};

}  // namespace skerry::async
