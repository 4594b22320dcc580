#pragma once

// A server stream that a coroutine writes: `write` waits until gRPC took the message, so the
// client's pace is the producer's. Control thread, apart from gRPC's own calls.

#include <memory>
#include <utility>

#include <boost/asio/post.hpp>
#include <grpcpp/support/server_callback.h>

#include "skerry/agent/core.hpp"
#include "skerry/agent/notifier.hpp"

namespace skerry::agent {

template <class Message>
class StreamWriter final : public grpc::ServerWriteReactor<Message>,
                           public std::enable_shared_from_this<StreamWriter<Message>> {
 public:
  static std::shared_ptr<StreamWriter> make(Core& core) {
    auto writer = std::shared_ptr<StreamWriter>(new StreamWriter(core));
    writer->self_ = writer;
    return writer;
  }

  // False once the client is gone.
  Task<bool> write(Message message) {
    if (gone_) {
      co_return false;
    }
    message_ = std::move(message);
    writing_ = true;
    this->StartWrite(&message_);
    while (writing_) {
      co_await changed_.wait();
    }
    co_return !gone_;
  }

  [[nodiscard]] bool gone() const { return gone_; }
  Notifier& changed() { return changed_; }

  // Once, as the last call.
  void end(const grpc::Status& status) { this->Finish(status); }

  void OnWriteDone(bool ok) override {
    boost::asio::post(core_.control, [self = this->shared_from_this(), ok] {
      self->writing_ = false;
      self->gone_ = self->gone_ || !ok;
      self->changed_.notify();
    });
  }
  void OnCancel() override {
    boost::asio::post(core_.control, [self = this->shared_from_this()] {
      self->gone_ = true;
      self->changed_.notify();
    });
  }
  void OnDone() override {
    boost::asio::post(core_.control, [self = std::move(self_)] {});
  }

 private:
  explicit StreamWriter(Core& core) : core_(core), changed_(core.control) {}

  Core& core_;
  Notifier changed_;
  std::shared_ptr<StreamWriter> self_;
  Message message_;
  bool writing_ = false;
  bool gone_ = false;
};

}  // namespace skerry::agent
