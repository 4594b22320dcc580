#pragma once

// One ModelStreamInfer call. Requests are begun as they come, at most kMostInFlight of them and of
// listen.max_message of bytes together, and answered in their order: what the client does not read
// keeps the next request from being read. A request that fails is answered with its error and the
// stream goes on. Each is decided, counted and audited by the service layer as ModelInfer is, and
// cancelled there when the client leaves. All state is the control thread's.

#include <chrono>
#include <deque>
#include <memory>
#include <string>

#include <boost/asio/steady_timer.hpp>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "skerry/agent/core.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/notifier.hpp"

#include "kserve_calls.hpp"
#include "stream_answer.hpp"

namespace skerry::agent {

class KserveStream final : public grpc::ServerBidiReactor<::inference::ModelInferRequest,
                                                          ::inference::ModelStreamInferResponse>,
                           public std::enable_shared_from_this<KserveStream> {
 public:
  static constexpr std::size_t kMostInFlight = 8;

  // Lives until gRPC is done with it and every request has ended.
  static std::shared_ptr<KserveStream> make(Core& core,
                                            KserveCalls& calls,
                                            grpc::CallbackServerContext* context);

  // One of these is called, once: on the control thread, and on gRPC's.
  void begin(Caller caller);
  void refuse(const grpc::Status& status) { Finish(status); }

  // From gRPC, on its threads.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // One request and what it has still to tell. Its parts outlive the stream's interest in it.
  struct Exchange {
    explicit Exchange(::inference::ModelInferRequest asked)
        : request(std::move(asked)), answer(request), bytes(request.ByteSizeLong()) {}
    ::inference::ModelInferRequest request;
    StreamAnswer answer;
    std::size_t bytes;
    std::shared_ptr<CallWatch> watch = std::make_shared<CallWatch>();
  };
  using ExchangePtr = std::shared_ptr<Exchange>;
  class Leash;
  class Ending;
  class TextAnswer;

  KserveStream(Core& core, KserveCalls& calls, grpc::CallbackServerContext* context)
      : core_(core),
        calls_(calls),
        context_(context),
        changed_(core.control),
        watch_(core.control) {}

  static Task<void> keep(std::shared_ptr<Leash> leash);
  static Task<void> infer(std::shared_ptr<Ending> ending);
  void took(bool ok);
  void read_next();
  void start(const ExchangePtr& exchange);
  void start_text(const ExchangePtr& exchange);
  void add_text(const ExchangePtr& exchange, const std::string& text);
  void fail(const ExchangePtr& exchange, const Error& error);
  // Writes what is next, reads what is next, or ends the call.
  void step();
  bool write_next();
  // Nobody waits for the answers any more.
  void abandon();
  void watch_reader();
  void give_up(const char* why);
  [[nodiscard]] CallOptions options() const;

  Core& core_;
  KserveCalls& calls_;
  // Valid until OnDone, which does not come before Finish.
  grpc::CallbackServerContext* context_;
  Caller caller_;
  Notifier changed_;
  boost::asio::steady_timer watch_;
  std::chrono::steady_clock::time_point write_began_{};
  std::shared_ptr<KserveStream> self_;
  ::inference::ModelInferRequest incoming_;
  ::inference::ModelStreamInferResponse writing_;
  std::deque<ExchangePtr> exchanges_;
  std::size_t held_ = 0;  // bytes of their requests
  bool watched_ = false;
  bool reading_ = false;
  bool busy_ = false;
  bool closed_ = false;
  bool abandoned_ = false;
  bool finished_ = false;
};

}  // namespace skerry::agent
