#pragma once

// One streaming Generate or Chat call: takes the service layer's events on the control thread and
// writes them to the client one at a time. Text that arrives while a write is under way is joined
// into one message, so a slow reader costs memory for the text alone, and no more than
// kMostUnreadText; one that takes nothing for listen.write_timeout loses the call. Nobody else
// waits for it.

#include <deque>
#include <memory>

#include <boost/asio/steady_timer.hpp>
#include <grpcpp/support/server_callback.h>

#include "skerry/agent/core.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/inference/v1/inference.pb.h"

namespace skerry::agent {

class TextReactor final : public grpc::ServerWriteReactor<skerry::inference::v1::GenerateEvent>,
                          public TextSink,
                          public std::enable_shared_from_this<TextReactor> {
 public:
  // Lives until gRPC is done with it and the service layer has dropped it. `context` is the call's.
  static std::shared_ptr<TextReactor> make(Core& core, grpc::CallbackServerContext* context);

  // From gRPC, on its threads.
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // From the service layer, on the control thread.
  void started(const ServedModel& model,
               const runtime::ModelInfo& info,
               const std::string& request_id,
               const runtime::Started& facts) override;
  void delta(runtime::TextDelta delta) override;
  void part(AnswerPart part) override;
  void done(const runtime::Done& done, std::chrono::nanoseconds first_token) override;
  void failed(const Error& error, bool retryable) override;
  [[nodiscard]] bool abandoned() const override { return abandoned_; }
  void submitted(runtime::RequestHandle handle) override;

 private:
  using Event = skerry::inference::v1::GenerateEvent;
  TextReactor(Core& core, grpc::CallbackServerContext* context)
      : core_(core), context_(context), watch_(core.control) {}
  void push(Event event);
  void write_next();
  void finish(const grpc::Status& status);
  // Nobody waits for the answer any more.
  void abandon();
  // Looks again after listen.write_timeout, until the call ends.
  void watch_reader();
  // Ends the call of a client that does not read.
  void give_up(const char* why);

  Core& core_;
  // Valid until OnDone, which does not come while a write is under way.
  grpc::CallbackServerContext* context_;
  boost::asio::steady_timer watch_;
  std::chrono::steady_clock::time_point write_began_{};
  bool watched_ = false;
  std::shared_ptr<TextReactor> self_;
  runtime::RequestHandle handle_;
  std::deque<Event> queue_;
  Event writing_;
  grpc::Status final_;
  bool started_ = false;
  bool called_ = false;
  bool busy_ = false;
  bool ending_ = false;
  bool finished_ = false;
  bool abandoned_ = false;
};

}  // namespace skerry::agent
